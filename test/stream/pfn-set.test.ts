// The set of pfns against a plain Set: single pfns, ranges, gaps, and the bound on its pages.

import { describe, expect, test } from "bun:test";
import { PfnSet } from "../../lib/stream/pfn-set.ts";
import { withSeed } from "../helpers/pieces.ts";

/** Pfns that one page of the set holds. */
const PAGE = 2 ** 15;
const SPARE_PAGES = 4096;

/** What firstGap must say, pfn by pfn. */
function firstGapOf(pfns: ReadonlySet<number>, last: number) {
  for (let first = 0; first <= last; first++) {
    if (pfns.has(first)) continue;
    let end = first;
    while (end < last && !pfns.has(end + 1)) end++;
    return { first, last: end };
  }
  return undefined;
}

function setOf(...pfns: readonly number[]): PfnSet {
  const set = new PfnSet();
  for (const pfn of pfns) set.add(pfn);
  return set;
}

describe("a set of pfns", () => {
  test("says of each pfn whether it is new", () => {
    const set = new PfnSet();
    const pfns = [7, 7, 0, 31, 32, 7, PAGE, PAGE - 1, PAGE, 2 ** 52 - 1];
    expect(pfns.map((pfn) => set.add(pfn))).toEqual([
      true,
      false,
      true,
      true,
      true,
      false,
      true,
      true,
      false,
      true,
    ]);
    expect(set.count).toBe(7);
    expect(set.isFull).toBe(false);
  });

  test.each([
    // pfns                         last        first gap
    [[], 0, { first: 0, last: 0 }],
    [[], 100, { first: 0, last: 100 }],
    [[], -1, undefined],
    [[0], 0, undefined],
    [[0], 1, { first: 1, last: 1 }],
    [[0, 1, 3], 3, { first: 2, last: 2 }],
    [[0, 1, 3], 1, undefined],
    [[1], 1, { first: 0, last: 0 }],
    [[PAGE], PAGE, { first: 0, last: PAGE - 1 }],
    [[0, 2 * PAGE], 2 * PAGE, { first: 1, last: 2 * PAGE - 1 }],
    [[0, 2 ** 40], 2 ** 40, { first: 1, last: 2 ** 40 - 1 }],
  ])("the first gap of %p up to %d", (pfns, last, gap) => {
    expect(setOf(...pfns).firstGap(last)).toEqual(gap);
  });

  test("ranges and single pfns are as in a plain set", () => {
    withSeed(52, (random) => {
      for (let round = 0; round < 200; round++) {
        const set = new PfnSet();
        const plain = new Set<number>();
        const base = random(2) * (PAGE - random(200));
        for (let step = 0; step < 30; step++) {
          const first = base + random(300);
          const last = first + random(150);
          if (random(4) === 0) {
            expect(set.add(first)).toBe(!plain.has(first));
            plain.add(first);
          } else {
            set.addRange(first, last);
            for (let pfn = first; pfn <= last; pfn++) plain.add(pfn);
          }
        }
        expect(set.count).toBe(plain.size);
        const until = base + random(500);
        expect(set.firstGap(until)).toEqual(firstGapOf(plain, until));
      }
    });
  });

  test("a long range is counted whole", () => {
    const set = new PfnSet();
    set.addRange(5, 3 * PAGE + 7);
    set.addRange(0, 10);
    expect(set.count).toBe(3 * PAGE + 8);
    expect(set.firstGap(3 * PAGE + 8)).toEqual({ first: 3 * PAGE + 8, last: 3 * PAGE + 8 });
  });

  test("scattered pfns fill it, and it says so", () => {
    const set = new PfnSet();
    let pages = 0;
    while (pages < 2 * SPARE_PAGES && set.add(pages * PAGE)) pages++;
    expect(pages - SPARE_PAGES).toBeWithin(0, 2); // The pfns themselves may have earned one more.
    expect(set.isFull).toBe(true);
    expect(set.add(1)).toBe(true); // Pages that are there still take pfns.
    set.addRange(2 ** 40, 2 ** 40 + 5);
    expect(set.count).toBe(pages + 1);
    set.clear();
    expect(set).toMatchObject({ count: 0, isFull: false });
    expect(set.add(2 ** 40)).toBe(true);
  });

  test("pfns that stand close make room for more", () => {
    const set = new PfnSet();
    set.addRange(0, (SPARE_PAGES + 100) * PAGE - 1);
    expect(set.isFull).toBe(false);
    expect(set.count).toBe((SPARE_PAGES + 100) * PAGE);
  });
});
