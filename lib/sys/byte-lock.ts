// Locks on bytes of a file that belong to the open file (OFD locks, fcntl(2)): they die with the
// descriptor, so there are no stale ones. QEMU guards its images by such locks.

import { reserve } from "./arena.ts";
import { EACCES, EAGAIN, EINVAL, systemError } from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const [F_RDLCK, F_WRLCK, F_UNLCK] = [0, 1, 2];

/** struct flock of 64-bit Linux: type at 0, whence at 2, start at 8, length at 16, pid at 24. */
const flock = reserve(32);

/** shared wants a descriptor open for reading, exclusive one open for writing. */
export type ByteLock = "shared" | "exclusive";

function call(fd: Fd, operation: number, type: number, at: number): number {
  flock.bytes.fill(0);
  flock.view.setInt16(0, type, true);
  flock.view.setBigInt64(8, BigInt(at), true);
  flock.view.setBigInt64(16, 1n, true);
  const result = libc.fcntl(fd.number, operation, flock.address);
  return result === -1 ? lastErrno() : 0;
}

/**
 * Takes a lock on the byte at `at`, which needs not exist; false if another open file holds one
 * against it. Throws SystemError where the file system has no such locks.
 */
export function lockByte(fd: Fd, at: number, lock: ByteLock): boolean {
  const errno = call(fd, F_OFD_SETLK, lock === "shared" ? F_RDLCK : F_WRLCK, at);
  if (errno === EAGAIN || errno === EACCES) return false;
  if (errno === 0) return true;
  throw lockError(fd, errno);
}

/** Whether another open file holds any lock on the byte. */
export function isByteLocked(fd: Fd, at: number): boolean {
  const errno = call(fd, F_OFD_GETLK, F_WRLCK, at);
  if (errno !== 0) throw lockError(fd, errno);
  return flock.view.getInt16(0, true) !== F_UNLCK;
}

const lockError = (fd: Fd, errno: number) => {
  const why = errno === EINVAL ? ": its file system has no locks of open files" : "";
  return systemError(`Cannot lock "${fd.name}"${why}`, { call: "fcntl", errno, object: fd.name });
};
