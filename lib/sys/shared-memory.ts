// Memory that two processes map at the same time: a memory file mapped shared and writable. What
// one of them stores the other sees, also after the first was killed in the middle.
//
// The file is sealed against shrinking before it is mapped: a mapping that is cut away under its
// reader ends the process.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { assert } from "../base/index.ts";
import { pointer } from "./arena.ts";
import { systemError } from "./errno.ts";
import { type Fd, statOf } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { SEAL_MASK, sealMemfd, sealsOf } from "./memfd.ts";

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PAGE_BYTES = 4096;

/** Owns a mapping, not its file. */
export class SharedMemory implements Disposable {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** For Atomics: each word is read and written whole, also between processes. */
  readonly words: Int32Array;
  readonly address: number;
  private readonly buffer: ArrayBuffer;
  private readonly length: number;

  constructor(address: number, length: number) {
    this.address = address;
    this.length = length;
    this.buffer = toArrayBuffer(address as Pointer, 0, length);
    this.bytes = new Uint8Array(this.buffer);
    this.view = new DataView(this.buffer);
    this.words = new Int32Array(this.buffer);
  }

  [Symbol.dispose](): void {
    if (this.buffer.byteLength === 0) return;
    this.buffer.transfer(0); // Detaches every view: a read after munmap would end the process.
    libc.munmap(pointer(this.address), this.length);
  }
}

/**
 * Owns a mapping for copying by address. It has no views: the runtime takes those of a large one
 * for memory of its own, and collects garbage at once, for milliseconds.
 */
export class SharedRange implements Disposable {
  readonly address: number;
  readonly length: number;
  private isMapped = true;

  constructor(address: number, length: number) {
    this.address = address;
    this.length = length;
  }

  [Symbol.dispose](): void {
    if (this.isMapped) libc.munmap(pointer(this.address), this.length);
    this.isMapped = false;
  }
}

/** Maps the whole of a memory file, which from then on cannot become shorter. */
export function mapShared(fd: Fd, access: "read" | "write"): SharedMemory {
  const { address, length } = mapSharedRange(fd, access);
  return new SharedMemory(address, length);
}

/** The same without views. */
export function mapSharedRange(fd: Fd, access: "read" | "write"): SharedRange {
  const { size } = statOf(fd.number);
  assert(size > 0, "a memory file has a size before it is mapped");
  assert(size % PAGE_BYTES === 0, "shared memory is whole pages");
  const seals = sealsOf(fd) ?? 0;
  if ((seals & SEAL_MASK.shrink) === 0) sealMemfd(fd, SEAL_MASK.shrink);
  const protection = access === "write" ? PROT_READ_WRITE : PROT_READ;
  const base = libc.mmap(null, size, protection, MAP_SHARED, fd.number, 0);
  const errno = base === -1 ? lastErrno() : 0;
  if (base !== -1) return new SharedRange(base, size);
  throw systemError(`Cannot map ${fd.name}`, { call: "mmap", errno, object: fd.name });
}
