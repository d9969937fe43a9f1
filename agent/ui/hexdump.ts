// Bytes for people: offset, 16 bytes in hex, and what of them is ASCII. Lines that repeat the one
// before are told by a single "*", as hexdump does.

const LINE_BYTES = 16;

export interface HexdumpOptions {
  /** What the offsets begin at. */
  readonly offset: number;
  /** Digits of an offset. */
  readonly digits: number;
}

export function hexdump(bytes: Uint8Array, { offset, digits }: HexdumpOptions): string[] {
  const lines: string[] = [];
  let previous = "";
  let isRepeated = false;
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const hex = bytes.subarray(at, at + LINE_BYTES).toHex();
    const isLast = at + LINE_BYTES >= bytes.length;
    if (hex === previous && !isLast) {
      if (!isRepeated) lines.push("*");
      isRepeated = true;
      continue;
    }
    previous = hex;
    isRepeated = false;
    const place = (offset + at).toString(16).padStart(digits, "0");
    const groups = hex.replace(/(..)(?=.)/g, "$1 ").padEnd(LINE_BYTES * 3 - 1);
    const halves = `${groups.slice(0, 23)}  ${groups.slice(24)}`;
    lines.push(`${place}  ${halves}  |${ascii(bytes.subarray(at, at + LINE_BYTES))}|`);
  }
  return lines;
}

const ascii = (bytes: Uint8Array): string =>
  String.fromCharCode(...bytes.map((byte) => (byte >= 0x20 && byte < 0x7f ? byte : 0x2e)));
