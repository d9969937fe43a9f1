// Pipes: made, enlarged, and emptied without their bytes passing through this process (splice).

import { cPath, pointer, reserve } from "./arena.ts";
import { EAGAIN, EINTR, EINVAL, EPERM, systemError } from "./errno.ts";
import { Fd, openForWriting } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { waitReadable } from "./poll.ts";

const O_WRONLY = 1;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const SPLICE_F_MOVE = 1;
/** The size pipes are asked to grow to: what makes splice cheap. Smaller answers are accepted. */
export const PIPE_BYTES_WANTED = 1024 * 1024;

const pair = reserve(8);

export interface Pipe {
  readonly readEnd: Fd;
  readonly writeEnd: Fd;
}

/** A new close-on-exec pipe. */
export function makePipe(): Pipe {
  const result = libc.pipe2(pointer(pair.address), O_CLOEXEC);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1)
    throw systemError("Cannot make a pipe", { call: "pipe2", errno, object: "pipe" });
  const [readEnd, writeEnd] = [pair.view.getInt32(0, true), pair.view.getInt32(4, true)];
  return {
    readEnd: new Fd(readEnd, `fd ${readEnd} (pipe)`),
    writeEnd: new Fd(writeEnd, `fd ${writeEnd} (pipe)`),
  };
}

/** Makes a FIFO, for its owner alone. */
export function makeFifo(path: string): void {
  const result = libc.mkfifo(cPath(path), 0o600);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  throw systemError(`Cannot make "${path}"`, { call: "mkfifo", errno, object: `"${path}"` });
}

/** Puts one byte into a FIFO that somebody reads; else does nothing. */
export function pokeFifo(path: string): void {
  const fd = libc.open(cPath(path), O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd === -1) return;
  libc.write(fd, pointer(pair.address), 1);
  libc.close(fd);
}

/** Asks for a 1 MiB pipe buffer; an unprivileged user may get less. Returns the size in bytes. */
export function enlargePipe(fd: Fd): number {
  const size = libc.fcntl(fd.number, F_GETPIPE_SZ, 0);
  if (size >= PIPE_BYTES_WANTED) return size;
  const grown = libc.fcntl(fd.number, F_SETPIPE_SZ, PIPE_BYTES_WANTED);
  return grown === -1 ? size : grown;
}

export type SpliceResult =
  | { readonly kind: "moved"; readonly bytes: number }
  /** The kernel cannot splice between these two (a socket, an old file system): copy instead. */
  | { readonly kind: "unsupported" };

/**
 * Moves exactly `bytes` from the pipe to `target`, fewer only at the end of input. `unsupported` is
 * answered only before anything has moved.
 */
export function spliceFully(source: Fd, target: Fd, bytes: number): SpliceResult {
  let moved = 0;
  while (moved < bytes) {
    const want = bytes - moved;
    const got = libc.splice(source.number, null, target.number, null, want, SPLICE_F_MOVE);
    const errno = got === -1 ? lastErrno() : 0;
    if (got === 0) break;
    if (got > 0) moved += got;
    else if (errno === EAGAIN) waitReadable(source);
    else if ((errno === EINVAL || errno === EPERM) && moved === 0) return { kind: "unsupported" };
    else if (errno !== EINTR) {
      const object = `${source.name} to ${target.name}`;
      throw systemError(`Cannot read "${source.name}"`, { call: "splice", errno, object });
    }
  }
  return { kind: "moved", bytes: moved };
}

/** /dev/null, for bodies that nobody wants. */
export const openNull = (): Fd => openForWriting("/dev/null");
