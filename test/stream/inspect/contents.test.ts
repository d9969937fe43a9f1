// Zero and duplicate pages, and the set of hashes behind them.

import { describe, expect, test } from "bun:test";
import { HashSet } from "../../../lib/stream/inspect/hash-set.ts";
import { LIBXC, PAGE_DATA_HEAD } from "../../../lib/stream/libxc/index.ts";
import { inspectPlan } from "../../helpers/inspect-bytes.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { libxcRecords, PV64 } from "../../helpers/stream-builder.ts";
import { row, type StreamPlan, words } from "../../helpers/stream-plan.ts";
import { libxcRecord } from "../../helpers/stream-records.ts";

const PAGE_BYTES = 4096;

/** A page of zeros but for these bytes. */
function page(...bytes: readonly (readonly [at: number, value: number])[]): Uint8Array {
  const contents = new Uint8Array(PAGE_BYTES);
  for (const [at, value] of bytes) contents[at] = value;
  return contents;
}

/** One batch of ordinary pages from pfn 0 on. */
function planOf(pages: readonly Uint8Array[]): StreamPlan {
  const records = libxcRecords(PV64).filter(({ name }) => name !== LIBXC.pageData.name);
  const at = records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
  const head = row(PAGE_DATA_HEAD, { count: pages.length, reserved: 0 });
  const pfns = words(
    8,
    pages.map((_, pfn) => pfn),
  );
  records.splice(at, 0, libxcRecord(LIBXC.pageData, head, pfns, ...pages));
  return { records };
}

describe("page contents", () => {
  test("are zero only where every byte is", () => {
    const pages = [page(), page([0, 1]), page([4095, 1]), page([2048, 0x80]), page()];
    const { contents, memory } = inspectPlan(planOf(pages), { contents: true });
    expect(contents).toEqual({ pages: 5, zero: 2, duplicate: 0, distinct: 3 });
    expect(memory.map?.zero).toEqual([1, 0, 0, 0, 1]);
  });

  test("are duplicates where they stood in the stream before", () => {
    const pages = [page([1, 1]), page([1, 2]), page([1, 1]), page(), page(), page([1, 1])];
    const { contents, memory, iterations } = inspectPlan(planOf(pages), { contents: true });
    expect(contents).toEqual({ pages: 6, zero: 2, duplicate: 2, distinct: 2 });
    expect(memory.map?.duplicate).toEqual([0, 0, 1, 0, 0, 1]);
    expect(iterations.list[0]).toMatchObject({ zero: 2, duplicate: 2 });
  });

  test("are not looked at unless that is wanted", () => {
    const { contents, memory, iterations } = inspectPlan(planOf([page()]), { contents: false });
    expect({ contents, zero: memory.map?.zero, pass: iterations.list[0]?.zero }).toEqual({
      contents: null,
      zero: null,
      pass: null,
    });
  });

  test("belong to the pfns whose types carry some", () => {
    const plan = planOf([page([0, 7]), page()]);
    const batch = plan.records.find(({ name }) => name === LIBXC.pageData.name)!;
    const old = batch.body;
    // An XTAB between the two: pfns 0, 1 (XTAB), 2.
    const pfns = new Uint8Array(24);
    const view = new DataView(pfns.buffer);
    view.setBigUint64(8, (0xfn << 60n) + 1n, true);
    view.setBigUint64(16, 2n, true);
    const head = row(PAGE_DATA_HEAD, { count: 3, reserved: 0 });
    batch.body = Uint8Array.from([...head, ...pfns, ...old.subarray(8 + 16)]);
    const { memory } = inspectPlan(plan, { contents: true });
    expect(memory.map?.zero).toEqual([0, 0, 1]);
  });
});

describe("the set of hashes", () => {
  test("holds what was added, and nothing else", () => {
    withSeed(11, (random) => {
      const set = new HashSet();
      const model = new Set<string>();
      for (let step = 0; step < 60_000; step++) {
        // Few bits, so that many are the same or nearly so; zero too.
        const low = random(3) === 0 ? random(4) : random(2 ** 32) | 0;
        const high = random(3) === 0 ? random(300) << 22 : random(2 ** 32) | 0;
        if (low === 1 && high === 0) continue; // Zero stands for it.
        const key = `${low} ${high}`;
        expect(set.add(low, high)).toBe(!model.has(key));
        model.add(key);
      }
      expect(set.count).toBe(model.size);
    });
  });

  test("takes at most 10 bytes a hash when there are many", () => {
    withSeed(12, (random) => {
      const set = new HashSet();
      for (let count = 0; count < 3_000_000; count++) {
        set.add(random(2 ** 32) | 0, random(2 ** 32) | 0);
        if (count > 2_200_000 && count % 100_000 === 0) {
          expect(set.bytes).toBeLessThanOrEqual(set.count * 10);
        }
      }
      expect(set.bytes).toBeLessThanOrEqual(set.count * 10);
    });
  });
});
