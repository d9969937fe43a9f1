// Files and descriptors: open, read at an offset, read on, write, and what the page cache is told.

import { fstatSync, readlinkSync, type Stats } from "node:fs";
import { cPath, pointer } from "./arena.ts";
import { EAGAIN, EINTR, systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import { waitReadable } from "./poll.ts";

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const O_NOCTTY = 0o400;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_END = 2;
const F_GETFL = 3;
const F_DUPFD_CLOEXEC = 1030;
const FADV_RANDOM = 1;
const FADV_DONTNEED = 4;

/** What an open descriptor is. */
export type FileKind = "file" | "pipe" | "socket" | "directory" | "character" | "block" | "other";

/** Owns a descriptor; closes it when disposed. */
export class Fd implements Disposable {
  readonly number: number;
  /** For messages: the path, or "fd 3 (pipe)". */
  name: string;
  private open = true;
  constructor(number: number, name: string) {
    this.number = number;
    this.name = name;
  }
  [Symbol.dispose](): void {
    if (!this.open) return;
    this.open = false;
    libc.close(this.number); // Nothing that was written waits for it: an error changes nothing.
  }
}

/** Opens `path` for reading. Opening a FIFO waits for its writer, as `cat` does. */
export const openForReading = (path: string): Fd => open(path, O_RDONLY);

/** Opens an existing `path` for writing. */
export const openForWriting = (path: string): Fd => open(path, O_WRONLY);

/** Opens an existing file or device for both, so that neither waits. */
export const openForBoth = (path: string): Fd => open(path, O_RDWR | O_NONBLOCK);

/** Opens a file for both, new and empty for its owner alone where there is none. */
export const openOrCreate = (path: string): Fd => open(path, O_RDWR | O_CREAT, 0o600);

/** Opens a file to add to its end, new for its owner alone where there is none. */
export const openToAppend = (path: string): Fd => open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600);

function open(path: string, access: number, mode = 0): Fd {
  for (;;) {
    const fd = libc.open(cPath(path), access | O_CLOEXEC | O_NOCTTY, mode);
    const errno = fd === -1 ? lastErrno() : 0;
    if (fd !== -1) return new Fd(fd, path);
    if (errno === EINTR) continue;
    throw systemError(`Cannot open "${path}"`, { call: "open", errno, object: `"${path}"` });
  }
}

/** A close-on-exec duplicate of an inherited descriptor, so that closing ours leaves it alone. */
export function duplicate(fd: number, name: string): Fd {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const errno = copy === -1 ? lastErrno() : 0;
  if (copy !== -1) return new Fd(copy, name);
  throw systemError(`Cannot use ${name}`, { call: "fcntl", errno, object: `fd ${fd}` });
}

export const statOf = (fd: number): Stats => fstatSync(fd);

export function kindOf(stats: Stats): FileKind {
  if (stats.isFile()) return "file";
  if (stats.isFIFO()) return "pipe";
  if (stats.isSocket()) return "socket";
  if (stats.isDirectory()) return "directory";
  if (stats.isCharacterDevice()) return "character";
  return stats.isBlockDevice() ? "block" : "other";
}

export const [STDIN_FD, STDOUT_FD, STDERR_FD] = [0, 1, 2] as const;

export const isTerminal = (fd: number): boolean => libc.isatty(fd) === 1;

/** Whether reads on the descriptor can answer EAGAIN. */
export const isNonBlocking = (fd: number): boolean => {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  return flags !== -1 && (flags & O_NONBLOCK) !== 0;
};

/** The path behind a descriptor as the kernel knows it, or undefined. */
export function pathOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // No /proc here: the name is only for messages.
  }
}

/** Where the next read of a regular file would begin. */
export function currentOffset(fd: Fd): number {
  const offset = libc.lseek(fd.number, 0, SEEK_CUR);
  const errno = offset === -1 ? lastErrno() : 0;
  if (offset !== -1) return offset;
  throw systemError(`Cannot read "${fd.name}"`, { call: "lseek", errno, object: fd.name });
}

/** Where the next read of it will begin, also through every duplicate of the descriptor. */
export const moveOffset = (fd: Fd, fileOffset: number): void =>
  void libc.lseek(fd.number, fileOffset, SEEK_SET); // What cannot be moved was read in order.

/**
 * Size in bytes of a file or block device, whose stat says 0; moves the file offset to `backTo`.
 */
export function sizeBySeeking(fd: Fd, backTo: number): number {
  const size = libc.lseek(fd.number, 0, SEEK_END);
  const errno = size === -1 ? lastErrno() : 0;
  if (size === -1) {
    throw systemError(`Cannot size "${fd.name}"`, { call: "lseek", errno, object: fd.name });
  }
  libc.lseek(fd.number, backTo, SEEK_SET);
  return size;
}

/** Reads up to `bytes` at `fileOffset` into arena memory. Less only at the end of the file. */
export function readAt(fd: Fd, address: number, bytes: number, fileOffset: number): number {
  let done = 0;
  while (done < bytes) {
    const at = fileOffset + done;
    const got = libc.pread(fd.number, pointer(address + done), bytes - done, at);
    const errno = got === -1 ? lastErrno() : 0;
    if (got === 0) break;
    if (got > 0) {
      done += got;
    } else if (errno !== EINTR) {
      throw systemError(`Cannot read "${fd.name}" at offset 0x${at.toString(16)}`, {
        call: "pread",
        errno,
        object: fd.name,
      });
    }
  }
  return done;
}

/**
 * Reads up to `bytes` from a pipe, socket or device, waiting for them. Less only at the end of
 * input.
 */
export function readFully(fd: Fd, address: number, bytes: number): number {
  let done = 0;
  while (done < bytes) {
    const got = libc.read(fd.number, pointer(address + done), bytes - done);
    const errno = got === -1 ? lastErrno() : 0;
    if (got === 0) break;
    if (got > 0) done += got;
    else if (errno === EAGAIN) waitReadable(fd);
    else if (errno !== EINTR) {
      throw systemError(`Cannot read "${fd.name}"`, { call: "read", errno, object: fd.name });
    }
  }
  return done;
}

/** Tells the kernel not to read ahead of us: only small pieces far apart are wanted. */
export const adviseRandom = (fd: Fd): void => void libc.posix_fadvise(fd.number, 0, 0, FADV_RANDOM);

/** Tells the kernel that these cached bytes are not wanted again. */
export const adviseDrop = (fd: Fd, fileOffset: number, bytes: number): void =>
  void libc.posix_fadvise(fd.number, fileOffset, bytes, FADV_DONTNEED);
