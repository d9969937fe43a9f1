// Memory by address: the two C shapes that system calls want in the arena, an address stored and an
// array of C strings (argv, envp), and copying without a view of either side.

import { assert } from "../base/index.ts";
import { pointer, type Region } from "./arena.ts";
import { libc } from "./libc.ts";

const ADDRESS_BYTES = 8;
const WORD = 2 ** 32;

/** Stores an address or a size as the 64-bit word at `at`. */
export function setWord(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % WORD, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** Bytes that storeStrings() takes for `texts`. */
export const stringsBytes = (texts: readonly string[]): number =>
  texts.reduce(
    (sum, text) => sum + Buffer.byteLength(text) + 1,
    (texts.length + 1) * ADDRESS_BYTES,
  );

/**
 * Stores a NULL-terminated array of C strings at `at` of the region, the array first. Returns the
 * first free place behind it, rounded up to where an address may stand.
 */
export function storeStrings(region: Region, at: number, texts: readonly string[]): number {
  assert(at % ADDRESS_BYTES === 0, "an array of addresses is aligned");
  assert(at + stringsBytes(texts) <= region.length, "the strings fit the region");
  let entry = at;
  let end = at + (texts.length + 1) * ADDRESS_BYTES;
  for (const text of texts) {
    assert(!text.includes("\0"), "a C string has no NUL inside");
    setWord(region.view, entry, region.address + end);
    const { written } = new TextEncoder().encodeInto(text, region.bytes.subarray(end));
    region.bytes[end + written] = 0;
    end += written + 1;
    entry += ADDRESS_BYTES;
  }
  setWord(region.view, entry, 0);
  return Math.ceil(end / ADDRESS_BYTES) * ADDRESS_BYTES;
}

/** Copies between places that do not overlap, each in memory that stays where it is. */
export const copyMemory = (target: number, source: number, bytes: number): void =>
  void libc.memcpy(pointer(target), pointer(source), bytes);

/** 0 when `bytes` bytes are the same at both addresses. */
export const compareMemory = (one: number, other: number, bytes: number): number =>
  libc.memcmp(pointer(one), pointer(other), bytes);
