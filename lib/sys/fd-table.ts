// The table of this process's descriptors: what is open, what an exec would keep, and how many
// there may be. A live update hands on a list; whatever else is open would leak into the next
// generation, one more with each update.

import { readdirSync, readlinkSync } from "node:fs";
import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { statOf } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { setWord } from "./memory-words.ts";

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC_MASK = 1;
const FIRST_FD = 3; // Below are the standard ones, which every program keeps.
const RLIMIT_NOFILE = 7;

const limits = reserve(16); // rlim_t soft, rlim_t hard.

/** Numbers of the open descriptors, in order. */
export function openDescriptorNumbers(): number[] {
  // The descriptor that reads the folder is in the listing, and closed when the listing is there.
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => libc.fcntl(fd, F_GETFD, 0) !== -1)
    .toSorted((a, b) => a - b);
}

/** What a descriptor leads to, as the kernel says: "socket:[123]", "/memfd:arena (deleted)". */
export function descriptorTarget(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "closed";
  }
}

/**
 * Which open file it is, the same in every process that has it: device and inode. Files without an
 * inode of their own (epoll, eventfd, a pidfd of an old kernel) share one.
 */
export function fileIdentityOf(fd: number): string {
  const { dev, ino } = statOf(fd);
  return `${dev}:${ino}`;
}

/**
 * Lets exactly these descriptors, and the three standard ones, through the next exec. Returns the
 * numbers of the others that would have gone through.
 */
export function keepOnlyOnExec(kept: ReadonlySet<number>): number[] {
  const strangers: number[] = [];
  for (const fd of openDescriptorNumbers()) {
    if (fd < FIRST_FD) continue;
    const flags = libc.fcntl(fd, F_GETFD, 0);
    const isKept = kept.has(fd);
    if (!isKept && (flags & FD_CLOEXEC_MASK) === 0) strangers.push(fd);
    const wanted = isKept ? flags & ~FD_CLOEXEC_MASK : flags | FD_CLOEXEC_MASK;
    if (wanted !== flags) libc.fcntl(fd, F_SETFD, wanted);
  }
  return strangers;
}

export interface DescriptorLimit {
  readonly soft: number;
  readonly hard: number;
}

const rlimit = (at: number): number => {
  const high = limits.view.getUint32(at + 4, true);
  return high === 0xffff_ffff ? Infinity : high * 2 ** 32 + limits.view.getUint32(at, true);
};

/** How many descriptors this process may have. */
export function descriptorLimit(): DescriptorLimit {
  const result = libc.getrlimit(RLIMIT_NOFILE, pointer(limits.address));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    const object = "RLIMIT_NOFILE";
    throw systemError("Cannot tell the limit of descriptors", { call: "getrlimit", errno, object });
  }
  return { soft: rlimit(0), hard: rlimit(8) };
}

/** Sets the soft limit, at most the hard one. Also makes the kernel's table that large at once. */
export function limitDescriptors(soft: number): void {
  const { hard } = descriptorLimit();
  setWord(limits.view, 0, soft); // The hard limit behind it stays as it was read.
  const result = libc.setrlimit(RLIMIT_NOFILE, pointer(limits.address));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  const object = `${soft} of at most ${hard} descriptors`;
  throw systemError("Cannot set the limit of descriptors", { call: "setrlimit", errno, object });
}
