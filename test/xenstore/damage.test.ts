// Memory that is not what it was: it is refused in words, never with a crash or a loop.

import { describe, expect, test } from "bun:test";
import { adoptStore, StoreDamagedError } from "../../lib/xenstore/index.ts";
import { HEADER, NODE, ROW_WORDS } from "../../lib/xenstore/layout.ts";
import { randomOf } from "../fuzz/random.ts";
import { PlainMemory, TestHost, TestStore } from "../helpers/xenstore-core.ts";
import { Workload } from "../helpers/xenstore-workload.ts";

function usedStore(seed: number): TestStore {
  const test = new TestStore();
  const workload = new Workload(test.store, test.host, randomOf(seed));
  for (let step = 0; step < 150; step++) workload.step();
  return test;
}

/** "" when it is adopted and sound, else what was said. */
function adopt(memory: PlainMemory): string {
  try {
    const store = adoptStore(memory, new TestHost());
    expect(store.check()).toEqual([]);
    return "";
  } catch (error) {
    if (!(error instanceof StoreDamagedError)) throw error;
    return error.message;
  }
}

const wordsOf = (memory: PlainMemory): Int32Array => new Int32Array(memory.buffer);

describe("memory that holds no whole store", () => {
  test.each([
    ["nothing", new PlainMemory(0), "no arena in these 0 bytes"],
    ["zeros", new PlainMemory(8192), "no arena in these 8192 bytes"],
  ])("%s", (_, memory, message) => {
    expect(adopt(memory)).toContain(message);
  });

  test.each([
    [HEADER.version, 9, "wanted version 2, found 9"],
    [HEADER.seed, 9, "the header's sum does not fit"],
    [HEADER.logBlock, 4096 * 4096, "outside the arena"],
    [HEADER.endBytes, 2 ** 30, "outside its memory"],
    [HEADER.nodeCount, 1, "nodes, 1 are counted"],
    [HEADER.usedRows, 1, "1 are counted"],
    [HEADER.root, 3, 'node "/" leads to row 3'],
    [HEADER.digest, 1, "the digest does not fit"],
    [HEADER.nodeIndex + 1, 62, "the node index has 63 slots"],
    [HEADER.freeRow, 0, "rows are in use"],
  ])("word %d of the header set to %d", (word, value, message) => {
    const { memory } = usedStore(3);
    wordsOf(memory)[word] = value;
    expect(adopt(memory)).toContain(message);
  });

  test("a loop of siblings ends", () => {
    const { memory } = usedStore(3);
    const words = wordsOf(memory);
    const root = words[HEADER.root]!;
    const child = words[root * ROW_WORDS + NODE.firstChild]!;
    words[child * ROW_WORDS + NODE.next] = child;
    expect(adopt(memory)).toContain('children of "/"');
  });

  test("a file that was cut short", () => {
    const { memory } = usedStore(3);
    for (let bytes = memory.buffer.byteLength - 4096; bytes >= 4096; bytes -= 4096) {
      const cut = new PlainMemory(0);
      cut.buffer = memory.buffer.slice(0, bytes);
      const said = adopt(cut);
      if (said === "") expect(bytes).toBeGreaterThanOrEqual(wordsOf(memory)[HEADER.endBytes]!);
    }
  });
});

test.each([1, 2, 3, 4])(
  "flipped bits, SEED=%d",
  (seed) => {
    const { memory, store } = usedStore(seed);
    const random = randomOf(seed);
    const end = wordsOf(memory)[HEADER.endBytes]!;
    const digest = store.digest();
    let refused = 0;
    for (let flip = 0; flip < 400; flip++) {
      const copy = memory.copy();
      const bytes = new Uint8Array(copy.buffer);
      for (let bits = 1 + random(3); bits > 0; bits--) {
        // The header's lists and the undo log are sparse: half of the bits hit what is behind them.
        const at = random(2) === 0 ? random(end) : 72_000 + random(end - 72_000);
        bytes[at]! ^= 1 << random(8);
      }
      if (adopt(copy) !== "") refused++;
    }
    expect(refused).toBeGreaterThan(20);
    expect(store.digest()).toBe(digest);
  },
  60_000,
);

test("random bytes in the arena's structures never crash or hang", () => {
  const random = randomOf(9);
  const { memory } = usedStore(9);
  const end = wordsOf(memory)[HEADER.endBytes]!;
  for (let round = 0; round < 300; round++) {
    const copy = memory.copy();
    const words = wordsOf(copy);
    for (let count = 1 + random(8); count > 0; count--) {
      const at = random(4) === 0 ? 8 + random(120) : random(end >> 2);
      const value = [0, -1, 1, random(end >> 6), random(end), 2 ** 31 - 1];
      words[at] = value[random(value.length)]!;
    }
    adopt(copy);
  }
}, 60_000);
