// Kernel features newer than 4.19, the oldest kernel we run on, and the C library. Nothing depends
// on these features: where one is absent (an old kernel, a sandbox that answers ENOSYS) another way
// is taken.

import { pointer, reserve } from "./arena.ts";
import { errnoName } from "./errno.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";

const MADV_POPULATE_READ = 22;
const PAGE_BYTES = 4096;
const FD_HIGHEST = 0xffff_ffff;
const CS_GNU_LIBC_VERSION = 2;

export interface KernelFeature {
  readonly name: string;
  /** The first kernel that has it. */
  readonly since: string;
  /** What is done where it is absent. */
  readonly replacedBy: string;
  /** Undefined when it is present, else the errno name it answers with. */
  readonly absence: string | undefined;
}

const page = reserve(PAGE_BYTES);
const text = reserve(256);

/** Tries each feature. */
export const kernelFeatures = (): KernelFeature[] => [
  {
    name: "madv_populate_read",
    since: "5.14",
    replacedBy: "reading files instead of mapping them",
    absence: absence(() => libc.madvise(pointer(page.address), PAGE_BYTES, MADV_POPULATE_READ)),
  },
  {
    name: "pidfd_open",
    since: "5.3",
    replacedBy: "waiting for processes through the runtime",
    absence: absence(() => {
      const fd = libc.syscall(SYSCALL.pidfd_open, libc.getpid(), 0, 0, 0, 0, 0);
      return fd === -1 ? fd : libc.close(fd);
    }),
  },
  {
    name: "close_range",
    since: "5.9",
    replacedBy: "closing descriptors one by one",
    absence: absence(() => libc.syscall(SYSCALL.close_range, FD_HIGHEST, FD_HIGHEST, 0, 0, 0, 0)),
  },
];

function absence(call: () => number): string | undefined {
  const result = call();
  const errno = result === -1 ? lastErrno() : 0;
  return result === -1 ? errnoName(errno) : undefined;
}

/** "glibc 2.36"; musl has no name for its version. */
export function libcVersion(): string {
  const length = libc.confstr(CS_GNU_LIBC_VERSION, pointer(text.address), text.length);
  if (length === 0) return "musl";
  return Buffer.from(text.bytes.subarray(0, length - 1)).toString("latin1");
}
