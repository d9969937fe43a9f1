// The program dies in the middle of an operation: whoever adopts the arena finds the state before
// it or after it, and nothing in between. Every store into the arena is explored, then real kills.

import { expect, test } from "bun:test";
import {
  createGrowingMemory,
  duplicate,
  type GrowingMemory,
  mapGrowingMemory,
} from "../../lib/sys/index.ts";
import { Arena } from "../../lib/xenstore/arena.ts";
import { adoptStore, formatStore, type XenStore } from "../../lib/xenstore/index.ts";
import { randomOf } from "../fuzz/random.ts";
import { programCommand } from "../helpers/run.ts";
import { OPTIONS, PlainMemory, TestHost, TestStore } from "../helpers/xenstore-core.ts";
import { Workload } from "../helpers/xenstore-workload.ts";

/** Calls `visit` before and behind each store that the undo log knows of, while `step` runs. */
function atEachStore(step: () => void, visit: () => void): void {
  const { set, save, seal } = Arena.prototype;
  Arena.prototype.set = function (index, value) {
    set.call(this, index, value);
    const stored = this.words[index]!;
    this.words[index] = this.words[this.logAt - 2]!; // Logged, but not stored yet.
    visit();
    this.words[index] = stored;
    visit();
  };
  Arena.prototype.save = function (index, count) {
    save.call(this, index, count);
    visit();
  };
  Arena.prototype.seal = function () {
    visit();
    seal.call(this);
    visit();
  };
  try {
    step();
  } finally {
    Arena.prototype.set = set;
    Arena.prototype.save = save;
    Arena.prototype.seal = seal;
  }
}

test.each([1, 2, 3])(
  "at any store of an operation it is undone, or done, SEED=%d",
  (seed) => {
    const test = new TestStore();
    const workload = new Workload(test.store, test.host, randomOf(seed));
    for (let step = 0; step < 120; step++) workload.step();
    let places = 0;
    for (let step = 0; step < 25; step++) {
      const before = test.store.digest();
      const found = new Set<string>();
      const copies: PlainMemory[] = [];
      atEachStore(
        () => workload.step(),
        () => copies.push(test.memory.copy()),
      );
      for (const copy of copies) found.add(adoptStore(copy, new TestHost()).digest());
      places += copies.length;
      for (const digest of found) expect([before, test.store.digest()]).toContain(digest);
    }
    expect(places).toBeGreaterThan(500);
  },
  60_000,
);

const KILLS = 20;
const STEPS = 30_000;

/** The digests before the first step and behind each. */
function digests(store: XenStore, host: TestHost, seed: number): string[] {
  const workload = new Workload(store, host, randomOf(seed));
  const found = [store.digest()];
  for (let step = 0; step < STEPS; step++) {
    workload.step();
    found.push(store.digest());
  }
  return found;
}

async function killedAt(memory: GrowingMemory, seed: number, ms: number): Promise<void> {
  const child = Bun.spawn(programCommand("store-writer", String(seed), String(STEPS)), {
    stdio: ["ignore", "pipe", "inherit", memory.fd.number],
  });
  const said = await child.stdout.getReader().read();
  expect(Buffer.from(said.value ?? []).toString()).toStartWith("ready\n");
  await Bun.sleep(ms);
  child.kill("SIGKILL");
  await child.exited;
}

test(`killed ${KILLS} times, at most the operation in flight is undone`, async () => {
  const plain = new TestStore();
  const expected = digests(plain.store, plain.host, 5);
  const random = randomOf(77);
  let killedMidway = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    using memory = createGrowingMemory("arena", 4096);
    formatStore(memory, new TestHost(), OPTIONS);
    await killedAt(memory, 5, random(60));
    // It may have grown: mapped anew.
    using again = mapGrowingMemory(duplicate(memory.fd.number, "the arena again"));
    const store = adoptStore(again, new TestHost());
    const done = store.generation;
    expect(expected.slice(done, done + 2)).toContain(store.digest());
    if (done > 0 && done < STEPS) killedMidway++;
  }
  expect(killedMidway).toBeGreaterThan(0);
}, 120_000);
