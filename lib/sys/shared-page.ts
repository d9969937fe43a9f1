// One page that somebody else writes too, of a file or a device: a ring.

import { EINVAL, systemError } from "./errno.ts";
import { type Fd, statOf } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { SharedMemory } from "./shared-memory.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PAGE_BYTES = 4096;

/**
 * Maps a page for reading and writing. Throws SystemError; a regular file must have the page, or
 * the first touch would be a SIGBUS.
 */
export function mapSharedPage(fd: Fd, fileOffset: number): SharedMemory {
  const stats = statOf(fd.number);
  if (stats.isFile() && stats.size < fileOffset + PAGE_BYTES) {
    const failed = { call: "mmap", errno: EINVAL, object: fd.name };
    throw systemError(`Cannot map "${fd.name}", which is too short`, failed);
  }
  const address = libc.mmap(null, PAGE_BYTES, PROT_READ_WRITE, MAP_SHARED, fd.number, fileOffset);
  const errno = address === -1 ? lastErrno() : 0;
  if (address !== -1) return new SharedMemory(address, PAGE_BYTES);
  throw systemError(`Cannot map "${fd.name}"`, { call: "mmap", errno, object: fd.name });
}
