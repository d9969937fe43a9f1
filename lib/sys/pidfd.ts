// Processes by descriptor: a pidfd is readable once its process has ended, and never means another
// process, whatever happens to the number. Kernels before 5.3 have none: nothing that needs one is
// offered there (see features.ts).

import { pointer, reserve } from "./arena.ts";
import { ESRCH, systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";

const POLLIN = 1;
const POLLFD_BYTES = 8; // int fd, short events, short revents.
const pollfd = reserve(POLLFD_BYTES);

export const SIGNAL = { kill: 9, terminate: 15, continue: 18, stop: 19 } as const;

/** A close-on-exec descriptor of process `pid`; undefined when there is no such process. */
export function openPidfd(pid: number): Fd | undefined {
  const fd = libc.syscall(SYSCALL.pidfd_open, pid, 0, 0, 0, 0, 0);
  const errno = fd === -1 ? lastErrno() : 0;
  if (fd !== -1) return new Fd(fd, `fd ${fd} (process ${pid})`);
  if (errno === ESRCH) return undefined;
  const object = `process ${pid}`;
  throw systemError("Cannot watch a process", { call: "pidfd_open", errno, object });
}

/** Sends a signal by number. False when the process has ended. */
export function signalPidfd(process: Fd, signal: number): boolean {
  const call = SYSCALL.pidfd_send_signal;
  const result = libc.syscall(call, process.number, signal, 0, 0, 0, 0);
  const errno = result === -1 ? lastErrno() : 0;
  if (result !== -1) return true;
  if (errno === ESRCH) return false;
  const object = process.name;
  throw systemError("Cannot signal a process", { call: "pidfd_send_signal", errno, object });
}

/** Whether the process has ended, reaped or not. Waits up to `waitMs` for that. */
export function hasEnded(process: Fd, waitMs: number): boolean {
  const { view, address } = pollfd;
  view.setInt32(0, process.number, true);
  view.setInt16(4, POLLIN, true);
  view.setInt16(6, 0, true);
  return libc.poll(pointer(address), 1, waitMs) > 0;
}
