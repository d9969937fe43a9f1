// Writing: memory to a descriptor, and bytes from one descriptor to another without passing through
// this process (copy_file_range, splice). A full disk or a reader that has gone is one SystemError
// that says so.

import type { SystemError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import {
  EAGAIN,
  EBADF,
  EDQUOT,
  EFBIG,
  EINTR,
  EINVAL,
  ENOSPC,
  ENOSYS,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EROFS,
  ESPIPE,
  EXDEV,
  systemError,
} from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";
import { setWord } from "./memory-words.ts";
import { waitReadable, waitWritable } from "./poll.ts";

const SPLICE_F_MOVE = 1;
const SYNC_FILE_RANGE_WRITE = 2;
/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */
const PUNCH_HOLE = 3;

const REASONS: Readonly<Record<number, string>> = {
  [ENOSPC]: "the disk is full",
  [EDQUOT]: "the disk quota is used up",
  [EFBIG]: "the file would pass the size limit",
  [EPIPE]: "the reader has gone",
  [EROFS]: "the file system is read-only",
};

/** What a failed write becomes, with the reason in words where there are better ones. */
export function writeError(
  name: string,
  failed: { readonly call: string; readonly errno: number; readonly object: string },
): SystemError {
  const reason = REASONS[failed.errno];
  const why = reason === undefined ? "" : `: ${reason}`;
  return systemError(`Cannot write "${name}"${why}`, failed);
}

/**
 * Writes `bytes` bytes where the descriptor stands, waiting where it must: of arena memory by its
 * address, or of an array, which is not moved while a call has it.
 */
export function writeFully(fd: Fd, from: number | Uint8Array, bytes: number): void {
  for (let done = 0; done < bytes;) {
    const data = typeof from === "number" ? pointer(from + done) : from.subarray(done);
    const put = libc.write(fd.number, data, bytes - done);
    const errno = put === -1 ? lastErrno() : 0;
    if (put >= 0) done += put;
    else if (errno === EAGAIN) waitWritable(fd);
    else if (errno !== EINTR) {
      throw writeError(fd.name, { call: "write", errno, object: fd.name });
    }
  }
}

/** Writes `bytes` bytes of arena memory at `fileOffset`. */
export function writeAt(fd: Fd, address: number, bytes: number, fileOffset: number): void {
  for (let done = 0; done < bytes;) {
    const at = fileOffset + done;
    const put = libc.pwrite(fd.number, pointer(address + done), bytes - done, at);
    const errno = put === -1 ? lastErrno() : 0;
    if (put >= 0) done += put;
    else if (errno !== EINTR) {
      throw writeError(fd.name, { call: "pwrite", errno, object: fd.name });
    }
  }
}

/** Writes an array at `fileOffset`; it is not moved while a call has it. */
export function writeBytesAt(fd: Fd, from: Uint8Array, fileOffset: number): void {
  for (let done = 0; done < from.byteLength;) {
    const at = fileOffset + done;
    const data = done === 0 ? from : from.subarray(done);
    const put = libc.pwrite(fd.number, data, from.byteLength - done, at);
    const errno = put === -1 ? lastErrno() : 0;
    if (put >= 0) done += put;
    else if (errno !== EINTR) {
      throw writeError(fd.name, { call: "pwrite", errno, object: fd.name });
    }
  }
}

/** A stretch of a file. */
export interface FileRange {
  readonly fileOffset: number;
  readonly bytes: number;
}

/** These two cannot be joined this way: nothing is wrong with either. */
const CANNOT: ReadonlySet<number> = new Set([
  EXDEV,
  EINVAL,
  ENOSYS,
  EOPNOTSUPP,
  EPERM,
  EBADF, // The target was opened to append.
  ESPIPE,
]);

const offsets = reserve(16);

/**
 * Copies from a file to a file within the kernel. `targetOffset` undefined: where the target
 * stands, and on from there. Returns how many bytes were copied: fewer than asked for at the end of
 * the source, and where the kernel cannot do it. The caller then reads on, and so learns which.
 */
export function copyFileRange(
  source: Fd,
  target: Fd,
  { fileOffset, bytes, targetOffset }: FileRange & { readonly targetOffset: number | undefined },
): number {
  let done = 0;
  while (done < bytes) {
    setWord(offsets.view, 0, fileOffset + done);
    if (targetOffset !== undefined) setWord(offsets.view, 8, targetOffset + done);
    const to = targetOffset === undefined ? 0 : offsets.address + 8;
    const [from, left] = [offsets.address, bytes - done];
    const call = SYSCALL.copy_file_range;
    const put = libc.syscall(call, source.number, from, target.number, to, left, 0);
    const errno = put === -1 ? lastErrno() : 0;
    if (put === 0) break;
    if (put > 0) done += put;
    else if (CANNOT.has(errno)) break;
    else if (errno !== EINTR) {
      const object = `"${source.name}" to "${target.name}"`;
      throw writeError(target.name, { call: "copy_file_range", errno, object });
    }
  }
  return done;
}

/**
 * Moves from a file into a pipe. The pipe then refers to the file's cached pages: they are not
 * copied. Returns as copyFileRange does.
 */
export function spliceFromFile(source: Fd, pipe: Fd, { fileOffset, bytes }: FileRange): number {
  let done = 0;
  while (done < bytes) {
    setWord(offsets.view, 0, fileOffset + done);
    const from = pointer(offsets.address);
    const left = bytes - done;
    const put = libc.splice(source.number, from, pipe.number, null, left, SPLICE_F_MOVE);
    const errno = put === -1 ? lastErrno() : 0;
    if (put === 0) break;
    if (put > 0) done += put;
    else if (errno === EAGAIN) waitWritable(pipe);
    else if (CANNOT.has(errno)) break;
    else if (errno !== EINTR) {
      const object = `"${source.name}" to "${pipe.name}"`;
      throw writeError(pipe.name, { call: "splice", errno, object });
    }
  }
  return done;
}

/**
 * Moves from a pipe to where the target stands: a file, pipe or socket. Returns as copyFileRange
 * does: fewer also at the end of input.
 */
export function spliceFromPipe(pipe: Fd, target: Fd, bytes: number): number {
  let done = 0;
  while (done < bytes) {
    const left = bytes - done;
    const put = libc.splice(pipe.number, null, target.number, null, left, SPLICE_F_MOVE);
    const errno = put === -1 ? lastErrno() : 0;
    if (put === 0) break;
    if (put > 0) done += put;
    else if (errno === EAGAIN) {
      waitReadable(pipe); // Either end may be the one that is not ready.
      waitWritable(target);
    } else if (CANNOT.has(errno)) break;
    else if (errno !== EINTR) {
      const object = `"${pipe.name}" to "${target.name}"`;
      throw writeError(target.name, { call: "splice", errno, object });
    }
  }
  return done;
}

/** Tells the disk to begin with a stretch that was written, without waiting for it. */
export const beginWriteback = (fd: Fd, { fileOffset, bytes }: FileRange): void =>
  // Only a hint: what it cannot start, the sync does.
  void libc.sync_file_range(fd.number, fileOffset, bytes, SYNC_FILE_RANGE_WRITE);

/** Waits until what was written can be read back after a power cut; its times may be older. */
export function syncData(fd: Fd): void {
  for (;;) {
    const result = libc.fdatasync(fd.number);
    const errno = result === -1 ? lastErrno() : 0;
    if (result === 0) return;
    if (errno !== EINTR) throw writeError(fd.name, { call: "fdatasync", errno, object: fd.name });
  }
}

/** Gives the disk back what a stretch of a file takes; it reads as zeros. False: it cannot. */
export function punchHole(fd: Fd, { fileOffset, bytes }: FileRange): boolean {
  return libc.fallocate(fd.number, PUNCH_HOLE, fileOffset, bytes) === 0;
}

/** Waits until what was written is on the disk. */
export function syncFile(fd: Fd): void {
  for (;;) {
    const result = libc.fsync(fd.number);
    const errno = result === -1 ? lastErrno() : 0;
    if (result === 0) return;
    if (errno === EINVAL || errno === EROFS) return; // It cannot be synced: a pipe, a device.
    if (errno !== EINTR) throw writeError(fd.name, { call: "fsync", errno, object: fd.name });
  }
}
