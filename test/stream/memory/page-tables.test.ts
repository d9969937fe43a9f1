// Page tables that nobody would write: the walk comes to an end, soon.

import { expect, test } from "bun:test";
import {
  addressOf,
  type Mapping,
  walkKernelPages,
} from "../../../lib/stream/memory/page-tables.ts";
import type { PagingMode } from "../../../lib/stream/memory/vcpu.ts";

/** Milliseconds that the worst tables may take, on a busy machine too. */
const SLOWEST_MS = 5000;

/** A guest of one page, all of whose entries are `entry`. */
function walkOne(mode: PagingMode, entry: bigint) {
  const page = new DataView(new BigUint64Array(512).fill(entry).buffer);
  const mappings: Mapping[] = [];
  const startedAt = performance.now();
  const isWhole = walkKernelPages({
    paging: { mode, rootPfn: 1, rootAt: 0 },
    readPage: (pfn) => (pfn === 1 ? page : undefined),
    onMapping: (mapping) => mappings.push(mapping) < 1000,
  });
  return { isWhole, mappings, isSoon: performance.now() - startedAt < SLOWEST_MS };
}

test.each(["4 levels", "5 levels", "pae"] as const)(
  "tables that point at themselves end, and say that not all was looked at: %s",
  (mode) => {
    const { isWhole, mappings, isSoon } = walkOne(mode, (1n << 12n) | 1n);
    // Of PAE's three levels the tables are few enough to be looked at; its mappings are not.
    expect({ isWhole, isSoon, mappings: mappings.length }).toEqual({
      isWhole: false,
      isSoon: true,
      mappings: 1000,
    });
  },
);

test.each(["4 levels", "5 levels"] as const)(
  "tables that map nothing that is there end too: %s",
  (mode) => {
    const page = new DataView(new BigUint64Array(512).fill((1n << 12n) | 1n).buffer);
    const startedAt = performance.now();
    const isWhole = walkKernelPages({
      paging: { mode, rootPfn: 1, rootAt: 0 },
      readPage: () => page,
      onMapping: () => true,
    });
    expect({ isWhole, isSoon: performance.now() - startedAt < SLOWEST_MS }).toEqual({
      isWhole: false,
      isSoon: true,
    });
  },
);

test("runs of pages are one mapping, whatever sizes they are mapped by", () => {
  const top = new DataView(new ArrayBuffer(4096));
  top.setBigUint64(511 * 8, (2n << 12n) | 1n, true);
  const second = new DataView(new ArrayBuffer(4096));
  second.setBigUint64(510 * 8, (3n << 12n) | 1n, true);
  const third = new DataView(new ArrayBuffer(4096));
  third.setBigUint64(0, (4n << 12n) | 1n, true); // 512 small pages from 0x400 on,
  third.setBigUint64(8, (0x600n << 12n) | 0x81n, true); // then a large one,
  third.setBigUint64(16, (0xa00n << 12n) | 0x81n, true); // and one that stands elsewhere.
  const last = new DataView(new ArrayBuffer(4096));
  for (let entry = 0; entry < 512; entry++) {
    // The highest bit (no execution) and those that are the kernel's own change nothing.
    last.setBigUint64(entry * 8, (1n << 63n) | (BigInt(0x400 + entry) << 12n) | 0xe01n, true);
  }
  const mappings: Mapping[] = [];
  const isWhole = walkKernelPages({
    paging: { mode: "4 levels", rootPfn: 1, rootAt: 0 },
    readPage: (pfn) => [undefined, top, second, third, last][pfn],
    onMapping: (mapping) => mappings.push(mapping) > 0,
  });
  expect(isWhole).toBeTrue();
  expect(
    mappings.map(({ page, ...rest }) => ({ at: addressOf(page, "4 levels"), ...rest })),
  ).toEqual([
    { at: 0xffff_ffff_8000_0000n, pfn: 0x400, count: 1024 },
    { at: 0xffff_ffff_8040_0000n, pfn: 0xa00, count: 512 },
  ]);
});
