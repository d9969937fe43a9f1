// Permission lists: words of a domid (24 bits, signed) and what it may, owner first. What the
// owner's entry says applies to all who are not listed.

export const PERMISSION = { none: 0, read: 1, write: 2, owner: 4, all: 7 } as const;
/** The entry stands in the list and does not count: its domain was not there, or is another now. */
export const IGNORED_MASK = 8;
const DOMID_SHIFT = 8;
export const ANY_DOMID = 0x7ff5;

/** Letters by what they allow. */
const LETTERS = "nrwb";

export const permissionWord = (domid: number, access: number): number =>
  (domid << DOMID_SHIFT) | access;
export const domidOf = (word: number): number => word >> DOMID_SHIFT;
export const accessOf = (word: number): number => word & 3;
export const isIgnored = (word: number): boolean => (word & IGNORED_MASK) !== 0;
export const letterOf = (word: number): string => LETTERS[accessOf(word)]!;

const isSpace = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);

/**
 * The entry that a string such as "r5" (behind it a NUL) says: undefined where it is none. The
 * number is read as C's strtol reads it with base 0: white space, a sign, 0x and 0 in front for
 * other bases.
 */
export function parsePermission(bytes: Uint8Array, from: number, end: number): number | undefined {
  const access = from < end ? LETTERS.indexOf(String.fromCharCode(bytes[from]!)) : -1;
  if (access < 0) return undefined;
  let at = from + 1;
  while (at < end && isSpace(bytes[at]!)) at++;
  const isNegative = bytes[at] === 45;
  if (at < end && (bytes[at] === 45 || bytes[at] === 43)) at++;
  let base = 10;
  if (at < end && bytes[at] === 48) {
    base = 8;
    if (at + 2 < end && (bytes[at + 1]! | 32) === 120 && digitOf(bytes[at + 2]!) < 16) {
      base = 16;
      at += 2;
    }
  }
  if (at >= end) return undefined;
  let value = 0;
  for (; at < end; at++) {
    const digit = digitOf(bytes[at]!);
    if (digit >= base) return undefined;
    value = value * base + digit;
    if (value >= 1 << 23) return undefined;
  }
  return permissionWord(isNegative ? -value : value, access);
}

function digitOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 122 ? lower - 87 : 99;
}
