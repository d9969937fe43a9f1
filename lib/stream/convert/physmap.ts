// The toolstack chunk of a legacy stream, as libxl filled it: where QEMU had mapped memory of its
// own. In a v2 stream that is EMULATOR_XENSTORE_DATA: strings, key and value in turn.

import { assert, hex } from "../../base/index.ts";
import {
  check,
  type Layout,
  type Place,
  read,
  type Row,
  sizeOf,
  StreamError,
} from "../../bytes/index.ts";
import { LEGACY_PHYSMAP, LEGACY_PHYSMAP_HEAD, LEGACY_PHYSMAP_LEAK_BYTES } from "../legacy/index.ts";

assert(sizeOf(LEGACY_PHYSMAP) === 28, "a physmap entry is 28 bytes before its name");

/** `place` is that of the chunk's contents. Throws StreamError. */
export function physmapStrings(bytes: Uint8Array, width: 4 | 8, place: Place): Uint8Array {
  const reader = new Reader(bytes, place);
  const { count } = reader.fields(LEGACY_PHYSMAP_HEAD, "a version and a count");
  const strings: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const entry = reader.fields(LEGACY_PHYSMAP, `entry ${index} of ${count}`);
    const name = reader.name(entry.namelen);
    reader.pass(LEGACY_PHYSMAP_LEAK_BYTES[width]);
    const root = `physmap/${entry.phys_offset.toString(16)}`;
    const [start, size] = [entry.start_addr.toString(16), entry.size.toString(16)];
    const before = `${root}/start_addr\0${start}\0${root}/size\0${size}\0${root}/name\0`;
    strings.push(new TextEncoder().encode(before), name);
  }
  return Buffer.concat(strings);
}

class Reader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly place: Place;
  private at = 0;

  constructor(bytes: Uint8Array, place: Place) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.place = place;
  }

  fields<L extends Layout>(layout: L, what: string): Row<L> {
    const at = this.take(sizeOf(layout), what);
    const place = { ...this.place, fileOffset: this.place.fileOffset + at };
    for (const finding of check(layout, this.view, at, place)) {
      if (finding.severity === "error") throw new StreamError(finding);
    }
    return read(layout, this.view, at);
  }

  /** With its NUL, and without one inside: it becomes one string among others. */
  name(bytes: number): Uint8Array {
    const at = this.take(bytes, "a name");
    const name = this.bytes.slice(at, at + bytes);
    const end = name.indexOf(0);
    if (end === bytes - 1) return name;
    const found = end === -1 ? "no NUL" : `a NUL behind ${end} bytes`;
    throw this.fail({ at, field: "name", expected: `a NUL at the end of ${bytes} bytes`, found });
  }

  pass(bytes: number): void {
    this.take(bytes, "the end of a name");
  }

  private take(bytes: number, what: string): number {
    const left = this.bytes.byteLength - this.at;
    if (bytes > left) {
      const expected = `${hex(bytes)} bytes for ${what}`;
      throw this.fail({ at: this.at, field: "size", expected, found: `${hex(left)} bytes` });
    }
    this.at += bytes;
    return this.at - bytes;
  }

  private fail({
    at,
    ...rest
  }: {
    readonly at: number;
    readonly field: string;
    readonly expected: string;
    readonly found: string;
  }): StreamError {
    const fileOffset = this.place.fileOffset + at;
    return new StreamError({
      ...this.place,
      fileOffset,
      severity: "error",
      strict: true,
      ...rest,
    });
  }
}
