// A path in canonical form: checked, made absolute, its levels and their hashes found, in one pass
// over the request's bytes. Level 0 is the root, level n the path's first n names.
//
// Rules (docs/misc/xenstore.txt, core.c of the C daemon): A-Z a-z 0-9 - / _ @; no empty name; "/"
// at the end only of "/" itself; "@..." only where special nodes are allowed. A path without "/" or
// "@" in front is relative to "/local/domain/<domid>".

import { PAYLOAD_BYTES_MAX } from "./limits.ts";

const SLASH = 47;
const AT = 64;
const FNV_PRIME = 0x0100_0193;
const FNV_START = 0x811c_9dc5 | 0;
const PREFIX_BYTES_MAX = 32;
const BYTES_MAX = PAYLOAD_BYTES_MAX + PREFIX_BYTES_MAX;

const IS_VALID = new Uint8Array(256);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@") {
  IS_VALID[character.charCodeAt(0)] = 1;
}

/** Spreads what FNV leaves in the high bits, so that a mask can take the low ones. */
const spread = (hash: number): number => {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d);
  return mixed ^ (mixed >>> 12);
};

/** The sum of a path that is the same in every arena, continued from its parent's. */
export function pathSum(parent: number, bytes: Uint8Array, from: number, to: number): number {
  let sum = parent;
  for (let at = from; at < to; at++) sum = Math.imul(sum ^ bytes[at]!, FNV_PRIME);
  return sum;
}
export const ROOT_SUM = FNV_START;

export class Path {
  readonly bytes = new Uint8Array(2 * BYTES_MAX);
  /** Where each level ends in `bytes`; the root at 0, though it is written "/". */
  readonly ends = new Int32Array(BYTES_MAX);
  readonly hashes = new Int32Array(BYTES_MAX);
  levels = 0;
  length = 0;
  isSpecial = false;
  /** Bytes of the prefix that was put in front of a relative path, with its last "/"; or 0. */
  prefixBytes = 0;
  private readonly seed: number;
  private readonly states = new Int32Array(BYTES_MAX);
  private prefixDomid = -1;
  private readonly prefix = new Uint8Array(PREFIX_BYTES_MAX);
  private prefixLength = 0;

  constructor(seed: number) {
    this.seed = seed | 0;
    this.states[0] = this.seed ^ FNV_START;
    this.hashes[0] = spread(this.states[0]);
  }

  /** Where a level's own name starts. */
  nameStart(level: number): number {
    const before = this.ends[level - 1]!;
    return this.bytes[before] === SLASH ? before + 1 : before;
  }

  /** The root alone. */
  clear(): void {
    this.levels = 0;
    this.length = 0;
    this.isSpecial = false;
  }

  /** Takes `length` bytes of a request as a path; false: it is none. */
  take(source: Uint8Array, from: number, length: number, domid: number, special: boolean): boolean {
    if (length === 0) return false;
    const first = source[from]!;
    this.clear();
    this.prefixBytes = 0;
    this.isSpecial = first === AT;
    if (first === AT && !special) return false;
    if (first === SLASH && length === 1) return true;
    let at = 0;
    if (first !== SLASH && first !== AT) at = this.putPrefix(domid);
    const bytes = this.bytes;
    const end = from + length;
    let state = this.states[0]!;
    let levels = 0;
    let previous = 0;
    for (let index = 0; index < at; index++) {
      const byte = bytes[index]!;
      if (byte === SLASH && index > 0) this.mark(++levels, index, state);
      state = Math.imul(state ^ byte, FNV_PRIME);
      previous = byte;
    }
    for (let index = from; index < end; index++, at++) {
      const byte = source[index]!;
      if (IS_VALID[byte] === 0) return false;
      if (byte === SLASH) {
        if (previous === SLASH) return false;
        if (at > 0) this.mark(++levels, at, state);
      }
      bytes[at] = byte;
      state = Math.imul(state ^ byte, FNV_PRIME);
      previous = byte;
    }
    if (previous === SLASH) return false;
    this.mark(++levels, at, state);
    this.levels = levels;
    this.length = at;
    return true;
  }

  /** Appends one name: the path of a child. */
  push(source: Uint8Array, from: number, length: number): void {
    const bytes = this.bytes;
    let at = this.length;
    let state = this.states[this.levels]!;
    bytes[at++] = SLASH;
    state = Math.imul(state ^ SLASH, FNV_PRIME);
    for (let index = from; index < from + length; index++) {
      const byte = source[index]!;
      bytes[at++] = byte;
      state = Math.imul(state ^ byte, FNV_PRIME);
    }
    this.length = at;
    this.levels++;
    this.mark(this.levels, at, state);
  }

  /** Takes the last name off again. */
  pop(): void {
    this.levels--;
    this.length = this.ends[this.levels]!;
  }

  /** Becomes the first levels of another path. */
  copy(other: Path, levels: number): void {
    this.isSpecial = other.isSpecial && levels > 0;
    this.prefixBytes = 0;
    this.levels = levels;
    this.length = other.ends[levels]!;
    for (let level = 1; level <= levels; level++) {
      this.ends[level] = other.ends[level]!;
      this.hashes[level] = other.hashes[level]!;
      this.states[level] = other.states[level]!;
    }
    for (let at = 0; at < this.length; at++) this.bytes[at] = other.bytes[at]!;
  }

  /** Bytes that do not count against the limit of a path's length: "/local/domain/<domid>/". */
  uncountedBytes(): number {
    const bytes = this.bytes;
    const local = "/local/domain/";
    for (let at = 0; at < local.length; at++) if (bytes[at] !== local.charCodeAt(at)) return 0;
    let at = local.length;
    if (bytes[at] === 45) at++; // The C daemon's scanf takes a sign.
    const digits = at;
    while (at - digits < 5 && at < this.length && bytes[at]! >= 48 && bytes[at]! <= 57) at++;
    return at > digits && at < this.length && bytes[at] === SLASH ? at + 1 : 0;
  }

  private mark(level: number, end: number, state: number): void {
    this.ends[level] = end;
    this.states[level] = state;
    this.hashes[level] = spread(state);
  }

  private putPrefix(domid: number): number {
    if (domid !== this.prefixDomid) {
      const text = Buffer.from(`/local/domain/${domid}/`);
      this.prefix.set(text);
      this.prefixLength = text.length;
      this.prefixDomid = domid;
    }
    for (let at = 0; at < this.prefixLength; at++) this.bytes[at] = this.prefix[at]!;
    this.prefixBytes = this.prefixLength;
    return this.prefixLength;
  }
}
