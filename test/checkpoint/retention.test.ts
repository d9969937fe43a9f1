// Which restore points are kept, whatever the clocks do.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Clock, scanFolder } from "../../lib/checkpoint/index.ts";
import { type Aged, oldestKept } from "../../lib/checkpoint/retention.ts";
import { pointNumbers, receivePath, streamFile, wrongPoints } from "../helpers/checkpoints.ts";
import { checkpointedPlan, PV64 } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SECOND = 1000;
const NOW = { boot: 7, realtimeMs: () => 1_000_000, monotonicMs: () => 500_000 };

/** A point that was committed so many seconds ago. */
const ago = (number: number, seconds: number, changes: Partial<Aged> = {}): Aged => ({
  number,
  boot: 7,
  committedMs: 1_000_000 - seconds * SECOND,
  monotonicMs: 500_000 - seconds * SECOND,
  ...changes,
});

test.each([
  // what, points (oldest first), keep, keep-for in seconds, the oldest kept
  ["the newest few", [ago(1, 9), ago(2, 5), ago(3, 1)], 2, undefined, 2],
  ["all, where there are fewer", [ago(1, 9), ago(2, 5)], 5, undefined, 1],
  ["those that are young enough", [ago(1, 9), ago(2, 5), ago(3, 1)], 1, 6, 2],
  ["the last, however old", [ago(1, 900), ago(2, 500)], 1, 6, 2],
  ["what either wants", [ago(1, 9), ago(2, 8), ago(3, 7)], 2, 8.5, 2],
  // The wall clock was set forward by a year: those of this boot are as young as they are.
  [
    "young ones of this boot by its own clock",
    [ago(1, 3, { committedMs: -3e10 }), ago(2, 1)],
    1,
    6,
    1,
  ],
  // It was set back: what an older boot has in the future is as young as can be.
  [
    "those from the future",
    [ago(1, 0, { boot: 3, committedMs: 9e12, monotonicMs: 0 }), ago(2, 1)],
    1,
    6,
    1,
  ],
  ["none of an older boot by this boot's clock", [ago(1, 90, { boot: 3 }), ago(2, 1)], 1, 6, 2],
] as const)("keeps %s", (_, points, keep, keepForSeconds, oldest) => {
  const keepForMs = keepForSeconds === undefined ? undefined : keepForSeconds * SECOND;
  expect(oldestKept(points, { keep, keepForMs }, NOW)).toBe(oldest);
});

test("a wall clock that jumps while a stream is received loses nothing", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const { bytes } = encode(checkpointedPlan(PV64, { checkpoints: 6, isColo: false }));
  const path = streamFile(folder.path, bytes);
  // A century on, then back to the beginning, at each look at it.
  const jumps = [1.7e12, 4.8e12, 0, 1.7e12, -5000, 2 ** 52, 12];
  let looks = 0;
  let monotonic = 1000;
  const clock: Clock = {
    boot: 1,
    realtimeMs: () => Math.max(0, jumps[looks++ % jumps.length]!),
    monotonicMs: () => (monotonic += 10),
  };
  receivePath(path, to, { keep: 1, keepForMs: 10 * 60 * SECOND, clock });
  expect(pointNumbers(to)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await wrongPoints(to, [path])).toEqual([]);
  for (const { intervalMs, arrivalMs, syncMs } of scanFolder(to).points) {
    expect(Math.max(intervalMs, arrivalMs, syncMs)).toBeLessThan(60 * SECOND);
  }
});
