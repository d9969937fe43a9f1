// Waiting for one descriptor. For programs that read one stream to its end; the daemons use
// loop.ts.

import { pointer, reserve } from "./arena.ts";
import { EINTR, systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const POLLIN = 1;
const POLLOUT = 4;
const POLLFD_BYTES = 8; // int fd, short events, short revents.
const WAIT_FOREVER = -1;

const pollfd = reserve(POLLFD_BYTES);

interface Waitable {
  readonly number: number;
  readonly name: string;
}

function wait(fd: Waitable, events: number): void {
  for (;;) {
    pollfd.view.setInt32(0, fd.number, true);
    pollfd.view.setInt16(4, events, true);
    pollfd.view.setInt16(6, 0, true);
    const ready = libc.poll(pointer(pollfd.address), 1, WAIT_FOREVER);
    const errno = ready === -1 ? lastErrno() : 0;
    if (ready > 0) return; // Also at the end of input or on an error: the next call tells which.
    if (ready === -1 && errno !== EINTR) {
      throw systemError(`Cannot wait for "${fd.name}"`, { call: "poll", errno, object: fd.name });
    }
  }
}

/** Waits until a read would not block. */
export const waitReadable = (fd: Waitable): void => wait(fd, POLLIN);

/** Waits until a write would not block. */
export const waitWritable = (fd: Waitable): void => wait(fd, POLLOUT);
