// Steps of moving bytes that do not wait, whatever the descriptors are: for a relay that has other
// duties while one side is not ready.
//
// O_NONBLOCK belongs to the open file, which others share: it is never set on a descriptor that we
// did not open. Pipes take SPLICE_F_NONBLOCK instead. A blocking socket has no such flag for
// splice: poll it first, and move no more at once than stepBytes() says.

import type { SystemError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import {
  EAGAIN,
  EBADF,
  EINTR,
  EINVAL,
  ENOSYS,
  EPERM,
  EPIPE,
  ESPIPE,
  systemError,
} from "./errno.ts";
import { Fd, type FileKind, openForWriting } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { writeError } from "./write.ts";

const F_DUPFD_CLOEXEC = 1030;
/** No child of ours is given so many descriptors. */
const CHILD_FD_LEAST = 32;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const FIONREAD = 0x541b;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const SHUT_RDWR = 2;

/** Not now: one of the two is not ready. */
export const TRY_AGAIN = -1;
/** The kernel cannot splice between these two: read and write instead. */
export const CANNOT_SPLICE = -2;

/** O_APPEND files answer EINVAL or EBADF; terminals, old file systems and others EINVAL. */
const CANNOT = new Set([EINVAL, EBADF, EPERM, ENOSYS, ESPIPE]);

/** What a blocking pipe takes without waiting once poll says so: PIPE_BUF. */
export const PIPE_STEP_BYTES = 4096;
const SOCKET_STEP_BYTES_MIN = 4096;
const SOCKET_STEP_BYTES_MAX = 256 * 1024;
const FILE_STEP_BYTES = 1024 * 1024;

const value = reserve(16);

/** Which of the two descriptors an error is about. */
export type Blame = "source" | "target";

/**
 * Moves up to `bytes` from one to the other, at least one of them a pipe. Above 0: so many; 0: the
 * end of the input; else TRY_AGAIN or CANNOT_SPLICE. Throws SystemError.
 */
export function spliceReady(from: Fd, to: Fd, bytes: number, blame: Blame): number {
  const flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
  const moved = libc.splice(from.number, null, to.number, null, bytes, flags);
  const errno = moved === -1 ? lastErrno() : 0;
  if (moved >= 0) return moved;
  if (errno === EAGAIN || errno === EINTR) return TRY_AGAIN;
  if (CANNOT.has(errno)) return CANNOT_SPLICE;
  const side = errno === EPIPE ? "target" : blame; // Only who is written to can answer that.
  throw transferError(side === "source" ? from : to, side, { call: "splice", errno });
}

/** Copies up to `bytes` from the front of one pipe into another without taking them out. */
export function teeReady(from: Fd, to: Fd, bytes: number): number {
  const copied = libc.tee(from.number, to.number, bytes, SPLICE_F_NONBLOCK);
  const errno = copied === -1 ? lastErrno() : 0;
  if (copied >= 0) return copied;
  if (errno === EAGAIN || errno === EINTR) return TRY_AGAIN;
  throw transferError(to, "target", { call: "tee", errno });
}

/** One read of what is there. Poll first where the descriptor blocks. 0 at the end of the input. */
export function readReady(fd: Fd, address: number, bytes: number): number {
  const got = libc.read(fd.number, pointer(address), bytes);
  const errno = got === -1 ? lastErrno() : 0;
  if (got >= 0) return got;
  if (errno === EAGAIN || errno === EINTR) return TRY_AGAIN;
  throw transferError(fd, "source", { call: "read", errno });
}

/** One write of what fits. A blocking pipe: poll first, and at most PIPE_STEP_BYTES. */
export function writeReady(fd: Fd, kind: FileKind, source: Bytes): number {
  const at = pointer(source.address);
  const put =
    kind === "socket"
      ? libc.send(fd.number, at, source.bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
      : libc.write(fd.number, at, source.bytes);
  const errno = put === -1 ? lastErrno() : 0;
  if (put >= 0) return put;
  if (errno === EAGAIN || errno === EINTR) return TRY_AGAIN;
  const call = kind === "socket" ? "send" : "write";
  throw transferError(fd, "target", { call, errno });
}

/** Bytes that stand in the arena. */
export interface Bytes {
  readonly address: number;
  readonly bytes: number;
}

function transferError(
  fd: Fd,
  blame: Blame,
  failed: { readonly call: string; readonly errno: number },
): SystemError {
  const object = fd.name;
  if (blame === "target") return writeError(fd.name, { ...failed, object });
  return systemError(`Cannot read "${fd.name}"`, { ...failed, object });
}

/**
 * A duplicate with a number above those that a child is given. The runtime places a child's
 * descriptors one after the other: one that stands where another goes would be overwritten.
 */
export function duplicateForChild(number: number, name: string): Fd {
  const copy = libc.fcntl(number, F_DUPFD_CLOEXEC, CHILD_FD_LEAST);
  const errno = copy === -1 ? lastErrno() : 0;
  if (copy !== -1) return new Fd(copy, name);
  throw systemError(`Cannot use ${name}`, { call: "fcntl", errno, object: `fd ${number}` });
}

/** What a write to a pipe without readers would be told. */
export const readerGone = (fd: Fd): SystemError =>
  writeError(fd.name, { call: "poll", errno: EPIPE, object: fd.name });

/** Makes a descriptor non-blocking for everybody who has it: only for one that we opened. */
export const makeNonBlocking = (own: Fd): void => setBlocking(own, false);

/** Makes it as accept() does without being asked: for a program that expects it so. */
export const makeBlocking = (own: Fd): void => setBlocking(own, true);

function setBlocking(own: Fd, isBlocking: boolean): void {
  const flags = libc.fcntl(own.number, F_GETFL, 0);
  const wanted = isBlocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  const result = flags === -1 ? -1 : libc.fcntl(own.number, F_SETFL, wanted);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  throw systemError(`Cannot use ${own.name}`, { call: "fcntl", errno, object: own.name });
}

/** How many bytes a pipe or socket holds for its reader; 0 where it does not tell. */
export function bytesWaiting(fd: Fd): number {
  value.view.setInt32(0, 0, true);
  const result = libc.ioctl(fd.number, FIONREAD, pointer(value.address));
  return result === 0 ? value.view.getInt32(0, true) : 0;
}

/**
 * The most that may be spliced into a target at once, so that it does not wait when poll has said
 * that it is writable. A unix socket is then at least three quarters empty, a TCP one a third.
 */
export function stepBytes(fd: Fd, kind: FileKind): number {
  if (kind !== "socket") return FILE_STEP_BYTES;
  value.view.setInt32(0, 0, true);
  value.view.setUint32(8, 4, true);
  const [at, lengthAt] = [pointer(value.address), pointer(value.address + 8)];
  const result = libc.getsockopt(fd.number, SOL_SOCKET, SO_SNDBUF, at, lengthAt);
  const quarter = result === 0 ? Math.floor(value.view.getInt32(0, true) / 4) : 0;
  return Math.min(Math.max(quarter, SOCKET_STEP_BYTES_MIN), SOCKET_STEP_BYTES_MAX);
}

/** Tells a socket's peer that no more comes; its answers still do. Others are just closed. */
export function shutdownWrites(fd: Fd): void {
  libc.shutdown(fd.number, SHUT_WR); // An error: the peer has gone, which is all the same.
}

/**
 * Ends a connection for both directions and for every duplicate of the descriptor: another process
 * may have one, and then closing ours would tell the peer nothing.
 */
export function shutdownConnection(fd: Fd): void {
  libc.shutdown(fd.number, SHUT_RDWR); // An error: it has ended already.
}

/**
 * Lets go of an inherited descriptor whose number must stay taken, such as 0 and 1: it leads to
 * /dev/null from now on, and whoever has the other end sees that we have closed ours.
 */
export function abandon(number: number): void {
  using nothing = openForWriting("/dev/null");
  const result = libc.dup3(nothing.number, number, 0);
  const errno = result === -1 ? lastErrno() : 0;
  if (result !== -1) return;
  const object = `fd ${number}`;
  throw systemError(`Cannot let go of descriptor ${number}`, { call: "dup3", errno, object });
}
