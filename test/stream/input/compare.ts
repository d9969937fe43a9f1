// Reads a source and its bytes side by side: whatever is asked for, both must say the same.

import { expect } from "bun:test";
import { PEEK_BYTES_MAX, type Source } from "../../../lib/bytes/index.ts";

/** Asks for takes, peeks and skips of all sizes until the end, and behind it. */
export function compareToItsEnd(
  source: Source,
  bytes: Uint8Array,
  random: (limit: number) => number,
): void {
  let position = 0;
  for (let behindEnd = 0; behindEnd < 4;) {
    expect(source.position).toBe(position);
    const wanted = size(random, source.takeBytesMax);
    const step = random(4);
    const limit = step === 0 ? Math.min(wanted, PEEK_BYTES_MAX) : wanted;
    const expected = Math.min(limit, bytes.byteLength - position);
    const got =
      step === 0 ? source.peek(limit) : step === 1 ? source.skip(limit) : source.take(limit);
    expect(got).toBe(expected);
    if (step !== 1) {
      const found = source.bytes.subarray(source.at, source.at + got);
      expect(Buffer.compare(found, bytes.subarray(position, position + got))).toBe(0);
      if (got > 0) expect(source.view.getUint8(source.at)).toBe(bytes[position]!);
    }
    if (step !== 0) position += got;
    if (position === bytes.byteLength) behindEnd++;
  }
}

/** Mostly small; now and then what is mapped or comes in several pieces. */
function size(random: (limit: number) => number, most: number): number {
  const sizes = [
    random(16),
    random(64),
    8192,
    random(20_000),
    random(300_000),
    random(most + 1),
    most,
  ];
  return sizes[random(random(4) === 0 ? sizes.length : 4)]!;
}

/** Bytes that differ from place to place. */
export function noise(count: number, random: (limit: number) => number): Uint8Array {
  const bytes = new Uint8Array(count);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(count / 4));
  for (let index = 0; index < words.length; index++) words[index] = random(2 ** 32);
  return bytes;
}
