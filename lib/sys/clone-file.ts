// Copies that share their blocks: on a file system with reflinks (btrfs, XFS).

import { pointer } from "./arena.ts";
import { EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP, EXDEV } from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { writeError } from "./write.ts";

/** _IOW(0x94, 9, int): its argument is the source's descriptor, not an address. */
const FICLONE = 0x4004_9409;
const CANNOT: ReadonlySet<number> = new Set([EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP, EXDEV]);

/** Makes `target` a copy of `source` in one step; false where the file system cannot do it. */
export function cloneFile(source: Fd, target: Fd): boolean {
  const result = libc.ioctl(target.number, FICLONE, pointer(source.number));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return true;
  if (CANNOT.has(errno)) return false;
  const object = `"${source.name}" to "${target.name}"`;
  throw writeError(target.name, { call: "ioctl FICLONE", errno, object });
}
