// Hands a batch's pfn list to the visitor in aligned parts. In a real save file the stream begins
// at any byte (the xl header carries free-length data), so the list is copied where it does not lie
// on a word: 8 KiB of every 4 MiB.

import type { Cursor } from "./cursor.ts";
import type { StreamRecord } from "./visitor.ts";

/** Entries a part: whatever count a record claims, no more is held at once. */
const PART_PFNS = 16384;
const WORD_BYTES = 4;

const scratch = new Uint32Array(PART_PFNS * 2);
const scratchBytes = new Uint8Array(scratch.buffer);

export function givePfns(
  cursor: Cursor,
  record: StreamRecord,
  { count, wordsPerPfn }: { readonly count: number; readonly wordsPerPfn: 1 | 2 },
): void {
  for (let firstIndex = 0; firstIndex < count;) {
    const part = Math.min(count - firstIndex, PART_PFNS);
    const fileOffset = cursor.position;
    const listBytes = part * wordsPerPfn * WORD_BYTES;
    const { bytes, at } = cursor.take(listBytes, record, "pfns");
    const words = alignedWords(bytes, at, part * wordsPerPfn);
    const list = { words, wordsPerPfn, count: part, firstIndex, batchCount: count, fileOffset };
    cursor.visitor.pfns(record, list);
    firstIndex += part;
  }
}

/** The words at `at`, in place where they are aligned, else copied. */
export function alignedWords(bytes: Uint8Array, at: number, count: number): Uint32Array {
  const start = bytes.byteOffset + at;
  if (start % WORD_BYTES === 0) return new Uint32Array(bytes.buffer, start, count);
  scratchBytes.set(bytes.subarray(at, at + count * WORD_BYTES));
  return scratch.subarray(0, count);
}
