// The kernel's clocks. performance.now() and Bun.nanoseconds() count from the start of this process
// and begin again at 0 after an exec, so whatever crosses a process or a live update takes the time
// from here.

import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

const timespec = reserve(16); // i64 seconds, i64 nanoseconds.

function readClock(clock: number, name: string): void {
  const result = libc.clock_gettime(clock, pointer(timespec.address));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    throw systemError("Cannot tell the time", { call: "clock_gettime", errno, object: name });
  }
}

/** The timespec as milliseconds. Seconds are read as two words: below 2^53, and no bigint made. */
const milliseconds = (): number =>
  (timespec.view.getUint32(4, true) * 2 ** 32 + timespec.view.getUint32(0, true)) * 1000 +
  timespec.view.getUint32(8, true) / 1e6;

/**
 * Milliseconds, with a fraction, since some fixed point: the same for every process until reboot.
 */
export function monotonicMs(): number {
  readClock(CLOCK_MONOTONIC, "the monotonic clock");
  return milliseconds();
}

/** The monotonic clock to the nanosecond. */
export function monotonicNs(): bigint {
  readClock(CLOCK_MONOTONIC, "the monotonic clock");
  return timespec.view.getBigInt64(0, true) * 1_000_000_000n + timespec.view.getBigInt64(8, true);
}

/** Milliseconds since 1970. An administrator can set it back: never measure a duration with it. */
export function realtimeMs(): number {
  readClock(CLOCK_REALTIME, "the wall clock");
  return milliseconds();
}
