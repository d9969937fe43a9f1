// Memory files: anonymous, handed on by descriptor, and sealed where the receiver must be able to
// rely on them. Sealing against writes fails with EBUSY while a writable shared mapping of the file
// exists.

import { cPath } from "./arena.ts";
import { systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** What a seal forbids, for good. */
export const SEAL_MASK = {
  /** Adding further seals. */
  seal: 1,
  /** Making it shorter: a mapping of it can then not be cut away under a reader. */
  shrink: 2,
  grow: 4,
  /** Any change of its bytes. */
  write: 8,
  all: 15,
} as const;

/** A new, empty memory file that closes on exec. `label` shows in /proc only. */
export function createMemfd(label: string): Fd {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const fd = libc.syscall(SYSCALL.memfd_create, cPath(label), flags, 0, 0, 0, 0);
  const errno = fd === -1 ? lastErrno() : 0;
  const object = `"${label}"`;
  if (fd !== -1) return new Fd(fd, `fd ${fd} (memory file ${object})`);
  throw systemError(`Cannot make memory file ${object}`, { call: "memfd_create", errno, object });
}

/** Adds the seals of the mask. */
export function sealMemfd(fd: Fd, mask: number): void {
  const result = libc.fcntl(fd.number, F_ADD_SEALS, mask);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    throw systemError(`Cannot seal ${fd.name}`, { call: "fcntl", errno, object: fd.name });
  }
}

/** The seals a memory file has, as a mask; undefined for a file that cannot have any. */
export function sealsOf(fd: Fd): number | undefined {
  const mask = libc.fcntl(fd.number, F_GET_SEALS, 0);
  return mask === -1 ? undefined : mask;
}

/** Sets the size; what is added reads as zeros. */
export function resizeFile(fd: Fd, bytes: number): void {
  const result = libc.ftruncate(fd.number, bytes);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    throw systemError(`Cannot resize ${fd.name}`, { call: "ftruncate", errno, object: fd.name });
  }
}
