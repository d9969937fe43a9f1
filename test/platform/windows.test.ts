// bun:ffi and the kernel: what may be done with an ArrayBuffer over a mapping.

import { expect, test } from "bun:test";
import { toArrayBuffer, type Pointer } from "bun:ffi";
import { pointer } from "../../lib/sys/arena.ts";
import { EFAULT, EINVAL } from "../../lib/sys/errno.ts";
import { lastErrno, libc } from "../../lib/sys/libc.ts";
import { createMemfd, kernelFeatures, resizeFile } from "../../lib/sys/index.ts";

const PAGE_BYTES = 4096;
const PROT_NONE = 0;
const PROT_READ = 1;
const MAP_SHARED = 0x01;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MADV_POPULATE_READ = 22;

const canPopulate = kernelFeatures()[0]?.absence === undefined;

test("an ArrayBuffer over a mapping ends at 4 GiB", () => {
  const bytes = 2 ** 32 + PAGE_BYTES;
  const base = libc.mmap(null, bytes, PROT_NONE, MAP_PRIVATE_ANONYMOUS + MAP_NORESERVE, -1, 0);
  expect(base).not.toBe(-1);
  const largest = toArrayBuffer(base as Pointer, 0, 2 ** 32);
  expect(largest.byteLength).toBe(2 ** 32);
  expect(() => toArrayBuffer(base as Pointer, 0, 2 ** 32 + 8)).toThrow(RangeError);
  largest.transfer(0);
  libc.munmap(pointer(base), bytes);
});

test("after transfer(0) the views are empty, and munmap does not end the process", () => {
  const base = libc.mmap(null, PAGE_BYTES, PROT_READ, MAP_PRIVATE_ANONYMOUS, -1, 0);
  const buffer = toArrayBuffer(base as Pointer, 0, PAGE_BYTES);
  const bytes = new Uint8Array(buffer, 16);
  const view = new DataView(buffer);
  expect(bytes[0]).toBe(0);
  buffer.transfer(0);
  expect(libc.munmap(pointer(base), PAGE_BYTES)).toBe(0);
  Bun.gc(true);
  expect(bytes.length).toBe(0);
  expect(bytes[0]).toBeUndefined();
  expect(() => view.getUint8(0)).toThrow(TypeError);
});

test.skipIf(!canPopulate)(
  "MADV_POPULATE_READ answers EFAULT where a read would be a SIGBUS",
  () => {
    using file = createMemfd("cut");
    resizeFile(file, 2 * PAGE_BYTES);
    const base = libc.mmap(null, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, file.number, 0);
    expect(libc.madvise(pointer(base), 2 * PAGE_BYTES, MADV_POPULATE_READ)).toBe(0);
    resizeFile(file, PAGE_BYTES);
    const populated = libc.madvise(pointer(base), 2 * PAGE_BYTES, MADV_POPULATE_READ);
    const errno = populated === -1 ? lastErrno() : 0;
    expect(errno).toBe(EFAULT);
    libc.munmap(pointer(base), 2 * PAGE_BYTES);
  },
);

test("advice that a kernel does not know is EINVAL, which is how an old one answers", () => {
  const base = libc.mmap(null, PAGE_BYTES, PROT_READ, MAP_PRIVATE_ANONYMOUS, -1, 0);
  const advised = libc.madvise(pointer(base), PAGE_BYTES, 9999);
  const errno = advised === -1 ? lastErrno() : 0;
  expect(errno).toBe(EINVAL);
  libc.munmap(pointer(base), PAGE_BYTES);
});
