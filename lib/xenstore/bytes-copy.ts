// Bytes from here to there without making views: a loop for a few, the runtime's own copy for more
// (which costs 22 ns whatever the length, where 20 bytes of loop do).

const LOOP_BYTES_MAX = 20;
const nativeCopy = Buffer.prototype.copy;

export function copyBytes(
  target: Uint8Array,
  targetAt: number,
  source: Uint8Array,
  from: number,
  length: number,
): void {
  if (length > LOOP_BYTES_MAX) {
    nativeCopy.call(source as Buffer, target, targetAt, from, from + length);
    return;
  }
  for (let index = 0; index < length; index++) target[targetAt + index] = source[from + index]!;
}

/** A sum over bytes that start at a multiple of four: four lanes, so that they need not wait. */
export function sumBytes(words: Int32Array, at: number, length: number, start: number): number {
  let one = start ^ length;
  let two = 0x9e37_79b9 | 0;
  let three = 0x7f4a_7c15;
  let four = 0x1656_67b1;
  let word = at >> 2;
  const end = word + (length >> 2);
  for (; word + 4 <= end; word += 4) {
    one = Math.imul(one ^ words[word]!, 0x85eb_ca6b);
    two = Math.imul(two ^ words[word + 1]!, 0x85eb_ca6b);
    three = Math.imul(three ^ words[word + 2]!, 0x85eb_ca6b);
    four = Math.imul(four ^ words[word + 3]!, 0x85eb_ca6b);
    one ^= four >>> 15;
    two ^= three >>> 13;
  }
  for (; word < end; word++) one = Math.imul(one ^ words[word]!, 0x85eb_ca6b) ^ (one >>> 15);
  const rest = length & 3;
  if (rest !== 0) one = Math.imul(one ^ (words[word]! & ((1 << (rest * 8)) - 1)), 0x85eb_ca6b);
  return finish(one ^ Math.imul(two, 0xc2b2_ae35) ^ Math.imul(three, 0x27d4_eb2f) ^ (four + two));
}

/** Spreads a sum over all its bits. */
export function finish(sum: number): number {
  let mixed = Math.imul(sum ^ (sum >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}

/** One sum of two. */
export const join = (sum: number, other: number): number =>
  finish(Math.imul(sum, 0x9e37_79b1) ^ (other + 0x7f4a_7c15));

/** Writes a number in decimal with a NUL behind it; tells how many bytes. */
export function putNumber(target: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  let rest = value;
  for (let digit = digits - 1; digit >= 0; digit--) {
    const left = Math.floor(rest / 10);
    target[at + digit] = 48 + (rest - left * 10);
    rest = left;
  }
  target[at + digits] = 0;
  return digits + 1;
}
