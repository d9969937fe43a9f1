// Clocks against the runtime's own.

import { expect, test } from "bun:test";
import { monotonicMs, monotonicNs, realtimeMs } from "../../lib/sys/index.ts";

test("the monotonic clock is that of the whole machine, in both units", () => {
  const beforeMs = monotonicMs();
  const ns = monotonicNs();
  const afterMs = monotonicMs();
  expect(Number(ns) / 1e6).toBeGreaterThanOrEqual(beforeMs - 0.001);
  expect(Number(ns) / 1e6).toBeLessThanOrEqual(afterMs + 0.001);
  expect(beforeMs).toBeGreaterThan(performance.now()); // The machine is up longer than we are.
});

test("the wall clock is between two readings of the runtime's", () => {
  const before = Date.now();
  const now = realtimeMs();
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now() + 1);
});
