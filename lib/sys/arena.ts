// The arena: one anonymous mapping that never moves and is never unmapped. Every struct and buffer
// that the kernel sees lives here, addressed as base + offset. (An address taken from a typed array
// is not safe to keep: the engine copies small arrays out of the way when it optimises the code
// using them.) Untouched pages of it cost nothing.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { assert } from "../base/index.ts";
import { errnoName } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const ARENA_BYTES = 32 * 1024 * 1024;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

const base = libc.mmap(null, ARENA_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
const mapErrno = base === -1 ? lastErrno() : 0;
assert(mapErrno === 0, `the arena can be mapped (${errnoName(mapErrno)})`);

let used = 0;

/** A stretch of the arena, handed out once and kept for good. */
export interface Region {
  /** Address for system calls. */
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly length: number;
}

/** Reserves `length` bytes, aligned to a page when `length` is at least a page, else to 16. */
export function reserve(length: number): Region {
  const step = length >= 4096 ? 4096 : 16;
  const at = Math.ceil(used / step) * step;
  assert(
    at + length <= ARENA_BYTES,
    "the arena has room: regions are reserved at load, not in loops",
  );
  used = at + length;
  const address = base + at;
  // A buffer for each region: one over the whole arena counts as 32 MiB of garbage to come, and
  // starts a collection of 2 ms in every process.
  const buffer = toArrayBuffer(address as Pointer, 0, length);
  return { address, bytes: new Uint8Array(buffer), view: new DataView(buffer), length };
}

/** Regions given back, by length. */
const free = new Map<number, Region[]>();

/** A region to give back: for owners that come and go, such as the buffer of an open stream. */
export interface Loan extends Disposable {
  readonly region: Region;
}

/** Lends a region of `length` bytes; disposing of the loan gives it back. */
export function borrow(length: number): Loan {
  const region = free.get(length)?.pop() ?? reserve(length);
  let given = true;
  return {
    region,
    [Symbol.dispose]() {
      if (!given) return;
      given = false;
      const list = free.get(length);
      if (list === undefined) free.set(length, [region]);
      else list.push(region);
    },
  };
}

const PATH_BYTES_MAX = 4096; // PATH_MAX, with its NUL.
const path = reserve(PATH_BYTES_MAX);
const encoder = new TextEncoder();

/** Address of `text` as a C string, good until the next call of this function. */
export function cPath(text: string): Pointer {
  const { written } = encoder.encodeInto(text, path.bytes.subarray(0, PATH_BYTES_MAX - 1));
  path.bytes[written] = 0;
  return path.address as Pointer;
}

/** An arena address in the type that bun:ffi wants. */
export const pointer = (address: number): Pointer => address as Pointer;
