// Which restore points are kept: the newest few, those younger than a time, and always the last.
// They are a stretch of numbers without gaps, so that one number says it all.
//
// The wall clock can be set; the clock since boot cannot. Points of this boot are as old as the
// latter says. Of an older boot only the wall clock is left; a point that it has in the future is
// as young as can be, and is kept.

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { monotonicMs, realtimeMs } from "../sys/index.ts";

export interface Retention {
  /** At least 1. */
  readonly keep: number;
  readonly keepForMs: number | undefined;
}

/** The clocks, as a port: tests set them. */
export interface Clock {
  realtimeMs(): number;
  monotonicMs(): number;
  /** Tells this boot from others. */
  readonly boot: number;
}

export interface Aged {
  readonly number: number;
  readonly committedMs: number;
  readonly boot: number;
  readonly monotonicMs: number;
}

export function systemClock(): Clock {
  return { realtimeMs, monotonicMs, boot: bootNumber() };
}

function bootNumber(): number {
  try {
    return crc32(readFileSync("/proc/sys/kernel/random/boot_id"));
  } catch {
    return 0; // No /proc here: then all points seem to be of one boot, and rightly so most often.
  }
}

/** Milliseconds since a point was committed; never below 0. */
export function ageMs(point: Aged, clock: Clock): number {
  const isThisBoot = point.boot === clock.boot;
  const [now, then] = isThisBoot
    ? [clock.monotonicMs(), point.monotonicMs]
    : [clock.realtimeMs(), point.committedMs];
  return Math.max(0, now - then);
}

/** The number of the oldest point to keep, of points that stand oldest first; at least one. */
export function oldestKept(points: readonly Aged[], retention: Retention, clock: Clock): number {
  const { keep, keepForMs } = retention;
  let index = Math.max(0, points.length - keep);
  if (keepForMs !== undefined) {
    while (index > 0 && ageMs(points[index - 1]!, clock) <= keepForMs) index--;
  }
  return points[index]!.number;
}
