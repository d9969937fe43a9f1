// How this room waits: a port, because a daemon has a loop and a relay polls between two steps.

import { type Fd, Loop, READY_MASK } from "../sys/index.ts";

export interface Deadline {
  cancel(): void;
}

export interface Waiter {
  /** Calls the handler whenever the descriptor is readable or its other end has gone. */
  watch(fd: Fd, onReadable: () => void): void;
  forget(fd: Fd): void;
  after(delayMs: number, run: () => void): Deadline;
}

export const loopWaiter = (loop: Loop): Waiter => ({
  watch: (fd, onReadable) => loop.watch(fd, READY_MASK.readable, onReadable),
  forget: (fd) => loop.forget(fd),
  after(delayMs, run) {
    const timer = loop.after(delayMs, run);
    return { cancel: () => loop.cancel(timer) };
  },
});
