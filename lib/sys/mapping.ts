// Windows of a file mapped for reading. A window is at most 64 MiB (an ArrayBuffer ends at 4 GiB,
// and what is mapped counts as resident), and it is guarded:
// - Before anything reads it, its pages are brought in by MADV_POPULATE_READ, which answers
//   EFAULT where the file has been cut short meanwhile. A plain read there would be a SIGBUS, the
//   end of the process. Kernels before 5.14 do not know it: then there is no mapping at all and the
//   caller reads instead.
// - Before munmap the views over it are detached: a late reader finds length 0, not a segfault.
// - Pages that were not in the page cache before are dropped from it again, so that reading a
//   whole image does not push out what the running guests need.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { assert } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { EFAULT, EINVAL, systemError } from "./errno.ts";
import { adviseDrop, type Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";

const PROT_READ = 1;
const MAP_SHARED = 1;
const MADV_POPULATE_READ = 22;
const PAGE_BYTES = 4096;

export const WINDOW_BYTES_MAX = 64 * 1024 * 1024;

/** Bit 0 set when a page is in the page cache (mincore). */
const residency = reserve(16);
/** Pages of a window that are looked at: asking for all costs half of what mapping them does. */
const SAMPLED_PAGES = 16;

export type MapResult =
  | { readonly kind: "window"; readonly window: Window }
  /** The file ends before the window does: it has been cut short since it was sized. */
  | { readonly kind: "shrunk" }
  /** This kernel cannot guard a mapping: read instead. */
  | { readonly kind: "unsupported" };

/** Owns one mapping. `bytes` and `view` cover exactly what was asked for, until it is disposed. */
export class Window implements Disposable {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private readonly buffer: ArrayBuffer;
  private readonly base: number;
  private readonly mappedBytes: number;
  private readonly afterUse: () => void;

  constructor(base: number, mappedBytes: number, slack: number, afterUse: () => void) {
    this.base = base;
    this.mappedBytes = mappedBytes;
    this.afterUse = afterUse;
    this.buffer = toArrayBuffer(base as Pointer, 0, mappedBytes);
    this.bytes = new Uint8Array(this.buffer, slack, mappedBytes - slack);
    this.view = new DataView(this.buffer, slack, mappedBytes - slack);
  }

  [Symbol.dispose](): void {
    if (this.buffer.byteLength === 0) return;
    this.buffer.transfer(0); // Detaches every view: a read after munmap would end the process.
    libc.munmap(pointer(this.base), this.mappedBytes);
    this.afterUse();
  }
}

/**
 * Maps `bytes` (at most WINDOW_BYTES_MAX) of the file at `fileOffset`, which need not be aligned.
 */
export function mapWindow(fd: Fd, fileOffset: number, bytes: number): MapResult {
  assert(bytes > 0, "a window has at least one byte");
  assert(bytes <= WINDOW_BYTES_MAX, "a window is at most 64 MiB");
  const slack = fileOffset % PAGE_BYTES;
  const start = fileOffset - slack;
  const mappedBytes = slack + bytes;
  const base = libc.mmap(null, mappedBytes, PROT_READ, MAP_SHARED, fd.number, start);
  const mapErrno = base === -1 ? lastErrno() : 0;
  if (base === -1) {
    throw systemError(`Cannot map "${fd.name}"`, {
      call: "mmap",
      errno: mapErrno,
      object: fd.name,
    });
  }
  const wasCached = isCached(base, mappedBytes);
  const populated = libc.madvise(pointer(base), mappedBytes, MADV_POPULATE_READ);
  const errno = populated === -1 ? lastErrno() : 0;
  if (errno === 0) {
    const drop = wasCached ? () => undefined : () => adviseDrop(fd, start, mappedBytes);
    return { kind: "window", window: new Window(base, mappedBytes, slack, drop) };
  }
  libc.munmap(pointer(base), mappedBytes);
  if (errno === EFAULT) return { kind: "shrunk" };
  if (errno === EINVAL) return { kind: "unsupported" };
  throw systemError(`Cannot read "${fd.name}"`, { call: "madvise", errno, object: fd.name });
}

/** Whether most of this part of the file is in the page cache. */
export function isRangeCached(fd: Fd, fileOffset: number, bytes: number): boolean {
  assert(bytes > 0, "a range has at least one byte");
  const slack = fileOffset % PAGE_BYTES;
  const mappedBytes = slack + bytes;
  const start = fileOffset - slack;
  const base = libc.mmap(null, mappedBytes, PROT_READ, MAP_SHARED, fd.number, start);
  if (base === -1) return true; // What cannot be asked is left as it is.
  const found = isCached(base, mappedBytes);
  libc.munmap(pointer(base), mappedBytes);
  return found;
}

/** Whether most of the mapping was in the page cache already, and so is left there. */
function isCached(base: number, bytes: number): boolean {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const samples = Math.min(pages, SAMPLED_PAGES);
  let resident = 0;
  for (let sample = 0; sample < samples; sample++) {
    const page = base + Math.floor((sample * pages) / samples) * PAGE_BYTES;
    if (libc.mincore(pointer(page), PAGE_BYTES, pointer(residency.address)) === -1) return true;
    resident += residency.bytes[0]! & 1;
  }
  return resident * 2 >= samples;
}
