// The page index against a Map that does the same slowly, and what it does when it is full.

import { describe, expect, test } from "bun:test";
import { PAGE_PFNS, PageIndex, SPARE_PAGES } from "../../lib/stream/page-index.ts";
import { withSeed } from "../helpers/pieces.ts";

const WIDTHS = [
  ["u32", 2 ** 32 - 1],
  ["u48", 2 ** 48 - 1],
] as const;

/** Runs of pfns as savers send them, at places all over the address space, some sent again. */
function* runs(random: (limit: number) => number): Generator<number> {
  for (let run = 0; run < 200; run++) {
    const base = [0, 2 ** 20, 2 ** 32 - 700, 2 ** 40, 2 ** 52 - 5000][random(5)]!;
    const first = base + random(3000);
    for (let step = random(1500); step >= 0; step--) yield first + step;
  }
}

describe.each(WIDTHS)("an index of %s", (width, valueMax) => {
  test("holds what a Map holds", () => {
    withSeed(20261121, (random) => {
      const index = new PageIndex(width);
      const model = new Map<number, number>();
      for (const pfn of runs(random)) {
        const value = 1 + ((random(2 ** 32 - 1) * random(65536) + random(65536)) % valueMax);
        expect(index.set(pfn, value)).toBe(true);
        model.set(pfn, value);
      }
      expect(index.count).toBe(model.size);
      const sorted = [...model].sort(([left], [right]) => left - right);
      const found: [number, number][] = [];
      index.forEach((pfn, value) => found.push([pfn, value]));
      expect(found).toEqual(sorted);
      for (let probe = 0; probe < 5000; probe++) {
        const pfn = sorted[random(sorted.length)]![0] + random(3) - 1;
        expect(index.get(pfn)).toBe(model.get(pfn) ?? 0);
      }
    });
  });

  test("holds the largest numbers and pfns", () => {
    const index = new PageIndex(width);
    for (const value of [1, 2 ** 31, 2 ** 32 - 1, valueMax]) {
      for (const pfn of [0, 2 ** 31, 2 ** 32, 2 ** 52 - 1]) {
        index.set(pfn, value);
        expect(index.get(pfn)).toBe(value);
      }
    }
    expect(index.count).toBe(4);
  });

  test("refuses a number that it cannot hold", () => {
    const index = new PageIndex(width);
    expect(() => index.set(1, valueMax + 1)).toThrow("an index holds numbers from 1 to");
    expect(() => index.set(1, 0)).toThrow("an index holds numbers from 1 to");
  });

  test("says when scattered pfns fill it, and goes on holding the others", () => {
    const index = new PageIndex(width);
    let stored = 0;
    while (stored < 10 * SPARE_PAGES && index.set(stored * PAGE_PFNS, 7)) stored++;
    expect(stored).toBe(SPARE_PAGES + Math.ceil(stored / PAGE_PFNS));
    expect(index.get((stored - 1) * PAGE_PFNS)).toBe(7);
    expect(index.get(stored * PAGE_PFNS)).toBe(0);
    expect(index.set(1, 8)).toBe(true); // In a page that is there.
    expect(index.get(1)).toBe(8);
  });

  test("a guest without holes never fills it", () => {
    const index = new PageIndex(width);
    for (let pfn = 0; pfn < 4 * SPARE_PAGES * PAGE_PFNS; pfn += 1) {
      if (!index.set(pfn, 1)) throw new Error(`full at ${pfn}`);
    }
    expect(index.count).toBe(4 * SPARE_PAGES * PAGE_PFNS);
  });
});

test("a number of 48 bits whose lower half is zero counts as there", () => {
  const index = new PageIndex("u48");
  index.set(5, 2 ** 32);
  index.set(5, 2 ** 33);
  expect([index.count, index.get(5)]).toEqual([1, 2 ** 33]);
});
