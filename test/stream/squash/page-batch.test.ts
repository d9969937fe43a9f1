// Batches of the output: what is written of an entry, and that pages which stand together in the
// input are copied together.

import { expect, test } from "bun:test";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import type { PageEntry } from "../../../lib/stream/final/index.ts";
import { BATCH_PFNS_MAX, PageBatch } from "../../../lib/stream/squash/page-batch.ts";

const entry = (pfn: number, type: number, contentsOffset: number): PageEntry => ({
  pfn,
  type,
  hasData: type < 0xd,
  ordinal: 1,
  contentsOffset,
});

/** What a flush copies, and the head that it writes, in hex. */
function flushed(batch: PageBatch): { copies: string[]; head: string } {
  const sink = new MemorySink();
  const copies: string[] = [];
  batch.flush(sink, (fileOffset, bytes) => copies.push(`${fileOffset}+${bytes}`));
  return { copies, head: sink.contents.toHex() };
}

test("pages that stand together are copied together", () => {
  const batch = new PageBatch();
  batch.add(entry(1, 0, 1000));
  batch.add(entry(2, 0xf, 5096)); // Nothing of it stands in the input.
  batch.add(entry(3, 1, 5096));
  batch.add(entry(9, 0, 100_000));
  const other = new PageBatch();
  other.add(entry(2 ** 40 + 5, 9, 104_096));
  batch.takeOver(other);
  expect(other.count).toBe(0);
  expect(flushed(batch)).toEqual({
    copies: ["1000+8192", "100000+4096", "104096+4096"],
    head:
      "0100000030400000" + // PAGE_DATA, 8 + 5 * 8 + 4 * 4096 bytes.
      "0500000000000000" +
      "0100000000000000" +
      "02000000000000f0" +
      "0300000000000010" +
      "0900000000000000" +
      "0500000000010090",
  });
  expect(flushed(batch)).toEqual({ copies: [], head: "" });
});

test("a batch is full at what libxc's saver writes at most", () => {
  const batch = new PageBatch();
  for (let pfn = 0; pfn < BATCH_PFNS_MAX; pfn++) {
    expect(batch.isFull).toBe(false);
    batch.add(entry(pfn, 0xe, 0));
  }
  expect(batch.isFull).toBe(true);
  expect(() => batch.add(entry(5000, 0xe, 0))).toThrow("an entry is added where there is room");
});
