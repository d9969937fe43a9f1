// Buffers that come and go: each a mapping of its own, so that the kernel can be given its address
// and the memory goes back when many were needed for a moment only.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { pointer } from "./arena.ts";
import { libc } from "./libc.ts";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Sizes are this times a power of two. */
const SMALLEST_BYTES = 8192;
/** What is kept of each size for the next taker. */
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
    const buffer = this.free[sizeClass]?.pop() ?? mapBuffer(size);
    if (buffer !== undefined) this.lentBytes += size;
    return buffer;
  }

  /** Takes a buffer back: nobody may use it after this. */
  give(buffer: PoolBuffer): void {
    const size = buffer.bytes.length;
    this.lentBytes -= size;
    const sizeClass = classOf(size);
    const list = (this.free[sizeClass] ??= []);
    if ((list.length + 1) * size <= KEPT_BYTES_MAX) {
      list.push(buffer);
      return;
    }
    (buffer.bytes.buffer as ArrayBuffer).transfer(0);
    libc.munmap(pointer(buffer.address), size);
  }
}

function classOf(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return 0;
  return 32 - Math.clz32((bytes - 1) >>> 13); // 2^13 is the smallest.
}

function mapBuffer(size: number): PoolBuffer | undefined {
  const address = libc.mmap(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (address === -1) return undefined;
  const buffer = toArrayBuffer(address as Pointer, 0, size);
  return { address, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}
