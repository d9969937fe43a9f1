// What is kept of each pfn, against a plain Map; and what of it the report shows.

import { describe, expect, test } from "bun:test";
import {
  CELL_DUPLICATE_MASK,
  CELL_TIMES_MASK,
  CELL_TYPE_SHIFT,
  CELL_ZERO_MASK,
  PfnMap,
} from "../../../lib/stream/inspect/pfn-map.ts";
import { LIBXC } from "../../../lib/stream/libxc/index.ts";
import { inspectPlan } from "../../helpers/inspect-bytes.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { HVM, libxcRecords } from "../../helpers/stream-builder.ts";
import { pageData } from "../../helpers/stream-records.ts";

function cellsOf(map: PfnMap): Map<number, number> {
  const cells = new Map<number, number>();
  map.forEachRun((first, count, cell) => {
    for (let pfn = first; pfn < first + count; pfn++) cells.set(pfn, cell);
  });
  return cells;
}

describe("the map of pfns", () => {
  test("keeps type, times and marks as a plain map does", () => {
    withSeed(7, (random) => {
      const map = new PfnMap();
      const model = new Map<number, number>();
      for (let step = 0; step < 3000; step++) {
        const base = [0, 2 ** 31 - 5000, 2 ** 32 - 5000, 2 ** 52 - 20_000][random(4)]!;
        const first = base + random(10_000);
        const last = first + (random(3) === 0 ? random(5000) : random(4));
        const type = random(16);
        let again = 0;
        for (let pfn = first; pfn <= last; pfn++) {
          const times = (model.get(pfn) ?? 0) & CELL_TIMES_MASK;
          if (times > 0) again++;
          model.set(pfn, (type << CELL_TYPE_SHIFT) | Math.min(times + 1, CELL_TIMES_MASK));
        }
        expect(map.send(first, last, type)).toBe(again);
        const mask = random(2) === 0 ? CELL_ZERO_MASK : CELL_DUPLICATE_MASK;
        map.mark(last, mask);
        model.set(last, model.get(last)! | mask);
      }
      expect(map.count).toBe(model.size);
      expect(map.highest).toBe(Math.max(...model.keys()));
      expect(cellsOf(map)).toEqual(model);
    });
  });

  test("stops counting times at 1023", () => {
    const map = new PfnMap();
    for (let round = 0; round < 1100; round++) map.send(5, 5, 0);
    expect(cellsOf(map)).toEqual(new Map([[5, CELL_TIMES_MASK]]));
  });

  test("says that it is full when pfns are scattered, and holds no more than 16 MiB", () => {
    const map = new PfnMap();
    for (let index = 0; index < 5000; index++) map.send(index * 2 ** 30, index * 2 ** 30, 0);
    expect(map.isFull).toBe(true);
    expect(map.count).toBeLessThanOrEqual(1025);
  });
});

/** The report's memory for these entries of one batch in an HVM guest. */
function memoryOf(entries: readonly (readonly [pfn: number, type: number])[]) {
  const records = libxcRecords(HVM).filter(({ name }) => name !== LIBXC.pageData.name);
  const at = records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
  records.splice(at, 0, pageData(entries.map(([pfn, type]) => ({ pfn, type }))));
  return inspectPlan({ records }, {}).memory;
}

describe("the report's memory", () => {
  test("counts entries by type, and pfns by the type sent last", () => {
    const memory = memoryOf([
      [0, 0],
      [1, 0xf],
      [2, 0xe],
      [3, 0xd],
      [1, 0],
      [4, 0xa],
    ]);
    const row = (type: number) => memory.types.find((found) => found.type === type);
    expect(row(0)).toMatchObject({ name: "NOTAB", sent: 2, pfns: 2, has_contents: true });
    expect(row(0xf)).toMatchObject({ name: "XTAB", sent: 1, pfns: 0, has_contents: false });
    expect(row(0xa)).toMatchObject({ name: "L2TAB pinned", sent: 1, pfns: 1 });
    expect(memory).toMatchObject({ sent: 6, sent_again: 1, pfns: 5, populated_pfns: 4 });
    expect(memory.times_sent).toEqual([
      { least: 1, most: 1, pfns: 4 },
      { least: 2, most: 2, pfns: 1 },
    ]);
    expect(memory.map).toMatchObject({
      pfns_per_bin: 1,
      bins: 5,
      normal: [1, 1, 0, 0, 0],
      page_table: [0, 0, 0, 0, 1],
      allocated: [0, 0, 1, 0, 0],
      broken: [0, 0, 0, 1, 0],
      hole: [0, 0, 0, 0, 0],
      sent_again: [0, 1, 0, 0, 0],
      sends: [1, 2, 1, 1, 1],
      zero: null,
    });
  });

  test("has at most 1024 bins, also for the highest pfn there can be", () => {
    const last = 2 ** 52 - 1;
    const { map, highest_pfn: highest } = memoryOf([
      [0, 0],
      [last, 0xf],
    ]);
    expect(highest).toBe(last);
    expect(map).toMatchObject({ bins: 1024, pfns_per_bin: 2 ** 42 });
    expect([map?.normal[0], map?.hole[1023]]).toEqual([1, 1]);
  });

  test("splits a run over the bins it covers", () => {
    const { map } = memoryOf(Array.from({ length: 2000 }, (_, pfn) => [pfn, 0xf]));
    expect(map).toMatchObject({ bins: 1000, pfns_per_bin: 2 });
    expect(new Set(map?.hole)).toEqual(new Set([2]));
  });
});
