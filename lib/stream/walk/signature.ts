// Looking for a signature that may or may not stand next, in an input whose next bytes may belong
// to somebody else.

import type { Cursor } from "./cursor.ts";

/**
 * The one of `signatures` that stands next, or that the input ends inside of. They are compared
 * byte by byte: of a pipe no more is taken than the first byte that fits none.
 */
export function nextSignature(
  { source }: Cursor,
  signatures: readonly Uint8Array[],
): Uint8Array | undefined {
  let fitting = signatures;
  for (let length = 1; ; length++) {
    const got = source.peek(length);
    if (got < length) return got > 0 ? fitting[0] : undefined;
    const byte = source.bytes[source.at + length - 1];
    fitting = fitting.filter((signature) => signature[length - 1] === byte);
    const whole = fitting.find((signature) => signature.byteLength === length);
    if (whole !== undefined || fitting.length === 0) return whole;
  }
}
