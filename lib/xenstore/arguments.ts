// A request's payload as strings and numbers, read the way the C daemon's library calls do.

import type { Request } from "./core.ts";

/** Length of the string at this offset without its NUL; -1: it has none. */
export function stringLength(request: Request, at: number): number {
  const { bytes, from, length } = request;
  const end = from + length;
  for (let index = at; index < end; index++) if (bytes[index] === 0) return index - at;
  return -1;
}

/** Length of the only string, behind which comes nothing; -1: the payload is something else. */
export function onlyString(request: Request): number {
  if (request.length === 0) return -1;
  const length = stringLength(request, request.from);
  return length === request.length - 1 ? length : -1;
}

/** How many NULs the payload has. */
export function countStrings(request: Request): number {
  const { bytes, from, length } = request;
  let count = 0;
  for (let index = from; index < from + length; index++) if (bytes[index] === 0) count++;
  return count;
}

/** The strings that end with a NUL; for operations that are rare. */
export function strings(request: Request): string[] {
  const { bytes, from, length } = request;
  const parts = Buffer.from(bytes.buffer, bytes.byteOffset + from, length)
    .toString("latin1")
    .split("\0");
  parts.pop(); // What comes behind the last NUL is no string.
  return parts;
}

const INT_MAX = 0x7fff_ffff;

/** C's atoi: white space, a sign, digits, and whatever else. */
export function toInteger(text: string): number {
  const found = /^[ \t-\r]*([+-]?[0-9]+)/.exec(text);
  const value = found === null ? 0 : Number(found[1]);
  return Math.max(-INT_MAX - 1, Math.min(INT_MAX, value));
}

/** A domid, or undefined: strtoul in base 10 up to the end, at most 65535; nothing at all is 0. */
export function toDomid(text: string): number | undefined {
  if (text === "") return 0;
  const found = /^[ \t-\r]*([+-]?)([0-9]+)$/.exec(text);
  if (found === null) return undefined;
  const value = Number(found[2]);
  if (value > 65535 || (found[1] === "-" && value !== 0)) return undefined;
  return value;
}
