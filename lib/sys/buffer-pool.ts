// Buffers that come and go, in memory that the kernel can be given the address of. Small ones are
// cut from slabs and kept for good: a thousand clients want one each at the same moment, again and
// again. Large ones are mappings of their own, and most go back to the kernel when a burst is over.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { pointer } from "./arena.ts";
import { libc } from "./libc.ts";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Sizes are this times a power of two. */
const SMALLEST_BYTES = 2048;
const SMALLEST_BIT = 11;
/** The largest that is cut from a slab. */
const SMALL_BYTES_MAX = 8192;
const SLAB_BYTES = 128 * 1024;
/** What is kept of each larger size for the next taker. */
const KEPT_BYTES_MAX = 1024 * 1024;

/** Memory that does not move, until it is given back. */
export interface PoolBuffer {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Lends buffers, at most `bytesMax` at once. */
export class BufferPool {
  private readonly bytesMax: number;
  private readonly free: PoolBuffer[][] = [];
  private lentBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** A buffer of at least `bytes`, its contents whatever was there; undefined: none is left. */
  take(bytes: number): PoolBuffer | undefined {
    const sizeClass = classOf(bytes);
    const size = SMALLEST_BYTES * 2 ** sizeClass;
    if (this.lentBytes + size > this.bytesMax) return undefined;
    const buffer = this.free[sizeClass]?.pop() ?? this.make(size, sizeClass);
    if (buffer !== undefined) this.lentBytes += size;
    return buffer;
  }

  /** Takes a buffer back: nobody may use it after this. */
  give(buffer: PoolBuffer): void {
    const size = buffer.bytes.length;
    this.lentBytes -= size;
    const sizeClass = classOf(size);
    const list = (this.free[sizeClass] ??= []);
    if (size <= SMALL_BYTES_MAX || (list.length + 1) * size <= KEPT_BYTES_MAX) {
      list.push(buffer);
      return;
    }
    (buffer.bytes.buffer as ArrayBuffer).transfer(0);
    libc.munmap(pointer(buffer.address), size);
  }

  private make(size: number, sizeClass: number): PoolBuffer | undefined {
    if (size > SMALL_BYTES_MAX) return mapBuffer(size);
    const address = mapMemory(SLAB_BYTES);
    if (address === undefined) return undefined;
    const list = (this.free[sizeClass] ??= []);
    for (let at = 0; at < SLAB_BYTES; at += size) list.push(bufferAt(address + at, size));
    return list.pop();
  }
}

function classOf(bytes: number): number {
  return bytes <= SMALLEST_BYTES ? 0 : 32 - Math.clz32((bytes - 1) >>> SMALLEST_BIT);
}

function mapMemory(bytes: number): number | undefined {
  const address = libc.mmap(null, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  return address === -1 ? undefined : address;
}

function mapBuffer(size: number): PoolBuffer | undefined {
  const address = mapMemory(size);
  return address === undefined ? undefined : bufferAt(address, size);
}

function bufferAt(address: number, size: number): PoolBuffer {
  const buffer = toArrayBuffer(address as Pointer, 0, size);
  return { address, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}
