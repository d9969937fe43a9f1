// The timer heap: pure, so every order is tried, and a seeded run is compared with a plain sort.

import { expect, test } from "bun:test";
import {
  addTimer,
  cancelTimer,
  nextDeadlineMs,
  noTimers,
  runDueTimers,
  type Timer,
} from "../../lib/sys/timers.ts";

test("timers run by deadline, and those of one deadline in the order they were added", () => {
  const timers = noTimers();
  const ran: string[] = [];
  for (const [name, deadlineMs] of [
    ["c", 30],
    ["a", 10],
    ["b1", 20],
    ["b2", 20],
    ["later", 40],
  ] as const) {
    addTimer(timers, deadlineMs, () => ran.push(name));
  }
  expect(nextDeadlineMs(timers)).toBe(10);
  runDueTimers(timers, 30);
  expect(ran).toEqual(["a", "b1", "b2", "c"]);
  expect(nextDeadlineMs(timers)).toBe(40);
});

test("a timer that a handler adds waits for the next turn, even when it is due already", () => {
  const timers = noTimers();
  let runs = 0;
  const again = (): void => {
    runs += 1;
    addTimer(timers, 0, again);
  };
  addTimer(timers, 0, again);
  runDueTimers(timers, 5);
  expect(runs).toBe(1);
  runDueTimers(timers, 5);
  expect(runs).toBe(2);
});

test("a cancelled timer does not run, and cancelling twice or too late does nothing", () => {
  const timers = noTimers();
  const ran: string[] = [];
  const first = addTimer(timers, 1, () => {
    ran.push("first");
    cancelTimer(timers, second);
  });
  const second = addTimer(timers, 2, () => ran.push("second"));
  const third = addTimer(timers, 3, () => ran.push("third"));
  runDueTimers(timers, 10);
  cancelTimer(timers, first);
  cancelTimer(timers, second);
  cancelTimer(timers, third);
  expect(ran).toEqual(["first", "third"]);
  expect(nextDeadlineMs(timers)).toBeUndefined();
});

test("any mix of adding and cancelling leaves the order of a plain sort", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  console.log(`SEED=${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const timers = noTimers();
  const live = new Set<Timer>();
  const ran: number[] = [];
  for (let step = 0; step < 2000; step++) {
    if (random(3) > 0 || live.size === 0) {
      const timer = addTimer(timers, random(500), () => ran.push(timer.order));
      live.add(timer);
    } else {
      const victim = [...live][random(live.size)]!;
      cancelTimer(timers, victim);
      live.delete(victim);
    }
  }
  const expected = [...live]
    .toSorted((a, b) => a.deadlineMs - b.deadlineMs || a.order - b.order)
    .map(({ order }) => order);
  runDueTimers(timers, 500);
  expect(ran).toEqual(expected);
});
