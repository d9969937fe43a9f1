// Memory that outlives the program: a memory file mapped shared, growing at its end.
//
// Theory of Operation. Address space is reserved once, far more than is ever used; the file grows
// under it, so that nothing in it ever moves and an offset stays good for as long as the file
// exists, in the next program too. The views cover only what the file has: a larger one would end
// the process with SIGBUS, and the runtime counts every byte of a mapped buffer as its own, so that
// a buffer of a GiB lets a GiB of garbage pile up before the next collection.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { assert, RefusedError } from "../base/index.ts";
import { pointer } from "./arena.ts";
import { systemError } from "./errno.ts";
import { type Fd, statOf } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { createMemfd, resizeFile, SEAL_MASK, sealMemfd, sealsOf } from "./memfd.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PAGE_BYTES = 4096;
const MADV_POPULATE_READ = 22; // Since 5.14.
/** Offsets of the rows must stay below 2^31, where bitwise operators end; half of that is ample. */
const RESERVED_BYTES = 1024 * 1024 * 1024;

/** Owns the mapping and the descriptor. */
export class GrowingMemory implements Disposable {
  readonly fd: Fd;
  readonly address: number;
  private current: ArrayBuffer;
  /** Those that were replaced: somebody may still look through them when the memory goes. */
  private readonly older: WeakRef<ArrayBuffer>[] = [];

  constructor(fd: Fd, address: number, bytes: number) {
    this.fd = fd;
    this.address = address;
    this.current = toArrayBuffer(address as Pointer, 0, bytes);
  }

  /** All of it. Good until the next grow(), which replaces it by one over the same memory. */
  get buffer(): ArrayBuffer {
    return this.current;
  }

  /** Makes it at least so long. What is added reads as zeros. Throws SystemError, RefusedError. */
  grow(bytes: number): ArrayBuffer {
    const wanted = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    if (wanted <= this.current.byteLength) return this.current;
    if (wanted > RESERVED_BYTES) {
      const limit = `wanted at most ${RESERVED_BYTES} bytes`;
      throw new RefusedError(`Cannot enlarge ${this.fd.name}: ${limit}, found ${wanted}`);
    }
    resizeFile(this.fd, wanted);
    this.older.push(new WeakRef(this.current)); // It shows the same bytes as before.
    this.current = toArrayBuffer(this.address as Pointer, 0, wanted);
    return this.current;
  }

  /** Brings the first `bytes` of it in: whoever touches them next has not to wait for each page. */
  populate(bytes: number): void {
    const length = Math.min(bytes, this.current.byteLength);
    libc.madvise(pointer(this.address), length, MADV_POPULATE_READ); // Or later, on old kernels.
  }

  [Symbol.dispose](): void {
    if (this.current.byteLength === 0) return;
    this.current.transfer(0);
    for (const buffer of this.older) buffer.deref()?.transfer(0);
    libc.munmap(pointer(this.address), RESERVED_BYTES);
    this.fd[Symbol.dispose]();
  }
}

/** New memory of `bytes` zeros, whose file nobody can cut short. */
export function createGrowingMemory(label: string, bytes: number): GrowingMemory {
  assert(bytes > 0, "there is memory to map");
  const fd = createMemfd(label);
  resizeFile(fd, Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
  sealMemfd(fd, SEAL_MASK.shrink);
  return mapGrowingMemory(fd);
}

/** Memory that another program made, as it left it. Takes the descriptor over. */
export function mapGrowingMemory(fd: Fd): GrowingMemory {
  const { size } = statOf(fd.number);
  const seals = sealsOf(fd) ?? 0;
  const isWhole = size > 0 && size % PAGE_BYTES === 0 && size <= RESERVED_BYTES;
  if (!isWhole || (seals & SEAL_MASK.shrink) === 0) {
    const wanted = `wanted a memory file of whole pages sealed against shrinking`;
    const found = `found ${size} bytes, seals 0x${seals.toString(16)}`;
    throw new RefusedError(`Cannot adopt ${fd.name}: ${wanted}, ${found}`);
  }
  const protection = PROT_READ_WRITE;
  const address = libc.mmap(null, RESERVED_BYTES, protection, MAP_SHARED, fd.number, 0);
  const errno = address === -1 ? lastErrno() : 0;
  if (address !== -1) return new GrowingMemory(fd, address, size);
  throw systemError(`Cannot map ${fd.name}`, { call: "mmap", errno, object: fd.name });
}
