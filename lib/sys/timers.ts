// Timers of the loop: a binary heap by deadline, in an array. Pure: the time is handed in.

/** One timer; also the handle to cancel it by. */
export interface Timer {
  readonly deadlineMs: number;
  /** Counts up: timers of one deadline run in the order they were added. */
  readonly order: number;
  readonly run: () => void;
  /** Its place in the heap; NOWHERE once it has run or was cancelled. */
  index: number;
}

export interface Timers {
  readonly heap: Timer[];
  added: number;
}

const NOWHERE = -1;

export const noTimers = (): Timers => ({ heap: [], added: 0 });

export function addTimer(timers: Timers, deadlineMs: number, run: () => void): Timer {
  const timer: Timer = { deadlineMs, order: timers.added, run, index: timers.heap.length };
  timers.added += 1;
  timers.heap.push(timer);
  rise(timers.heap, timer);
  return timer;
}

/** Does nothing for a timer that has run or was cancelled before. */
export function cancelTimer({ heap }: Timers, timer: Timer): void {
  const { index } = timer;
  if (index === NOWHERE) return;
  timer.index = NOWHERE;
  const last = heap.pop();
  if (last === undefined || last === timer) return;
  place(heap, last, index);
  sink(heap, last);
  rise(heap, last);
}

/** When the next timer is due, or undefined. */
export const nextDeadlineMs = ({ heap }: Timers): number | undefined => heap[0]?.deadlineMs;

/** Runs what is due. What its handlers add waits for the next call, even if it is due already. */
export function runDueTimers(timers: Timers, nowMs: number): void {
  const addedBefore = timers.added;
  for (;;) {
    const [first] = timers.heap;
    if (first === undefined || first.deadlineMs > nowMs) return;
    // A timer that a handler has just added ends the turn; older ones behind it run in the next
    // turn.
    if (first.order >= addedBefore) return;
    cancelTimer(timers, first);
    first.run();
  }
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.deadlineMs === b.deadlineMs ? a.order < b.order : a.deadlineMs < b.deadlineMs;

function place(heap: Timer[], timer: Timer, index: number): void {
  heap[index] = timer;
  timer.index = index;
}

function rise(heap: Timer[], timer: Timer): void {
  while (timer.index > 0) {
    const { index } = timer;
    const parent = heap[Math.floor((index - 1) / 2)]!;
    if (!isBefore(timer, parent)) return;
    place(heap, timer, parent.index);
    place(heap, parent, index);
  }
}

function sink(heap: Timer[], timer: Timer): void {
  for (;;) {
    const { index } = timer;
    const left = heap[index * 2 + 1];
    const right = heap[index * 2 + 2];
    if (left === undefined) return;
    const child = right !== undefined && isBefore(right, left) ? right : left;
    if (!isBefore(child, timer)) return;
    place(heap, timer, child.index);
    place(heap, child, index);
  }
}
