// The process's alarm clock: the kernel sends SIGALRM when it rings, also while a system call
// sleeps.

import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import { setWord } from "./memory-words.ts";

const ITIMER_REAL = 0;

const itimerval = reserve(32); // The interval, 0 for once, then the delay: i64 s, i64 us each.

/**
 * Sends this process SIGALRM in `delayMs`, once; 0 takes an alarm back. Its default action is to
 * end us.
 */
export function setAlarm(delayMs: number): void {
  setWord(itimerval.view, 16, Math.floor(delayMs / 1000));
  setWord(itimerval.view, 24, Math.floor((delayMs % 1000) * 1000));
  const result = libc.setitimer(ITIMER_REAL, pointer(itimerval.address), null);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    throw systemError("Cannot set an alarm", { call: "setitimer", errno, object: "SIGALRM" });
  }
}
