// Two files that change places in one step: at no moment is one of the names missing.

import { cPath, pointer, reserve } from "./arena.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";
import { writeError } from "./write.ts";

const RENAME_EXCHANGE = 2;
/** AT_FDCWD as an unsigned number: the kernel takes its lower 32 bits. */
const HERE = 2 ** 32 - 100;
/** renameat2 takes two paths; cPath() has room for one. */
const otherPath = reserve(4096);

/** Throws SystemError; nothing has changed then. Both names must be on one file system. */
export function exchangeFiles(one: string, other: string): void {
  const { written } = new TextEncoder().encodeInto(other, otherPath.bytes.subarray(0, -1));
  otherPath.bytes[written] = 0;
  const to = pointer(otherPath.address);
  const call = SYSCALL.renameat2;
  const result = libc.syscall(call, HERE, cPath(one), HERE, to, RENAME_EXCHANGE, 0);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  throw writeError(one, { call: "renameat2", errno, object: `"${one}" and "${other}"` });
}
