// Checked conversions. A 64-bit number that becomes an offset, a size or a pfn passes through here:
// offsets are plain numbers below 2^53, and bitwise operators would silently cut them to 32 bits.

import { assert } from "./assert.ts";

/** The number for a u64 that counts or measures something; undefined at or above 2^53. */
export function toCount(value: bigint): number | undefined {
  return value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

/** `value` rounded up to a multiple of `step`, without bitwise operators: safe past 2^31. */
export function roundUp(value: number, step: number): number {
  assert(Number.isSafeInteger(value), "a size is a whole number below 2^53");
  const over = value % step;
  return over === 0 ? value : value + step - over;
}

/** "0x1f", for offsets and field values in messages. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** "1 page", "2 pages". */
export const plural = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;
