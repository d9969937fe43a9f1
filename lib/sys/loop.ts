// The epoll loop of our long-running programs.
//
// Theory of Operation. Handlers are synchronous and run from here, in one thread. While epoll_wait
// sleeps, nothing of the runtime runs: no promise, no signal handler, no exit of a child process.
// So this file, and no other under it, awaits: it yields to the runtime when epoll_wait brought
// nothing (a timeout, or EINTR: a signal came), at least every YIELD_EVERY_MS under constant load,
// and at the end. A signal that arrives in the microseconds between that yield and epoll_wait does
// not interrupt it; WAIT_MS_MAX bounds the delay. signalfd is no way out: threads of the runtime do
// not block the signal and would take it.
//
// A signal is only noted by the runtime's handler; ours runs in the loop, in its turn, like any
// other, so that whatever a handler throws comes out of run().

import { assert } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { monotonicMs } from "./clock.ts";
import { EINTR, systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import {
  addTimer,
  cancelTimer,
  nextDeadlineMs,
  noTimers,
  runDueTimers,
  type Timer,
} from "./timers.ts";

export type { Timer } from "./timers.ts";

/**
 * What to wait for and what has come, as a mask. hangUp and failed always come, asked for or not.
 */
export const READY_MASK = {
  readable: 0x1,
  writable: 0x4,
  failed: 0x8,
  hangUp: 0x10,
  /** The peer will send no more. */
  peerClosed: 0x2000,
} as const;

/** struct epoll_event: u32 events, u64 data. Packed on x86-64 and nowhere else. */
const EVENT = process.arch === "x64" ? { bytes: 12, dataAt: 4 } : { bytes: 16, dataAt: 8 };
const EVENTS_PER_WAIT = 256;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

const WAIT_MS_MAX = 250;
const YIELD_EVERY_MS = 10;
/** The runtime gives freed memory back only in its own idle loop: after a burst we ask for it. */
const BURST_EVENTS = 10_000;
const IDLE_MS_BEFORE_COLLECTING = 1000;

const events = reserve(EVENT.bytes * EVENTS_PER_WAIT);
const registration = reserve(EVENT.bytes);

export type ReadyHandler = (readyMask: number) => void;

/** Whether there is more to do at once: then the next turn does not sleep. */
export type TurnEnd = () => boolean;

interface Watch {
  readonly fd: Fd;
  /**
   * Told apart in the event: one still queued for a closed fd must not reach its number's next
   * user.
   */
  readonly generation: number;
  readonly handler: ReadyHandler;
}

interface SignalWatch {
  readonly signal: NodeJS.Signals;
  readonly handler: () => void;
  readonly note: () => void;
}

/** Lets the runtime do what it has waiting: signal handlers, exits of children. */
const yieldToRuntime = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Owns an epoll descriptor and the signal handlers; `using` it takes both back. */
export class Loop implements Disposable {
  private readonly epoll: Fd;
  private readonly watches = new Map<number, Watch>();
  private readonly timers = noTimers();
  private readonly signals: SignalWatch[] = [];
  private pending: (() => void)[] = [];
  private generations = 0;
  private stopping = false;
  private eventsSinceCollection = 0;
  private turnEnd: TurnEnd = () => false;
  private hasMore = false;

  constructor() {
    const fd = libc.epoll_create1(EPOLL_CLOEXEC);
    const errno = fd === -1 ? lastErrno() : 0;
    const failed = { call: "epoll_create1", errno, object: "epoll" };
    if (fd === -1) throw systemError("Cannot start the event loop", failed);
    this.epoll = new Fd(fd, `fd ${fd} (epoll)`);
  }

  /** Calls the handler whenever the descriptor is ready. Level-triggered: until it no longer is. */
  watch(fd: Fd, mask: number, handler: ReadyHandler): void {
    assert(!this.watches.has(fd.number), "a descriptor is watched once");
    this.generations = (this.generations + 1) >>> 0;
    const watch: Watch = { fd, generation: this.generations, handler };
    this.control(EPOLL_CTL_ADD, watch, mask);
    this.watches.set(fd.number, watch);
  }

  /** Waits for something else on a watched descriptor. */
  change(fd: Fd, mask: number): void {
    const watch = this.watches.get(fd.number);
    assert(watch, "a descriptor is watched before that changes");
    this.control(EPOLL_CTL_MOD, watch, mask);
  }

  /**
   * Stops watching. Call it before the descriptor is closed; events already fetched are dropped.
   */
  forget(fd: Fd): void {
    const watch = this.watches.get(fd.number);
    assert(watch, "a descriptor is watched before it is forgotten");
    this.watches.delete(fd.number);
    this.control(EPOLL_CTL_DEL, watch, 0);
  }

  /** Calls the handler after the events of each wake-up; it takes the place of an earlier one. */
  onTurnEnd(handler: TurnEnd): void {
    this.turnEnd = handler;
  }

  /** Runs the handler once, `delayMs` from now. */
  after(delayMs: number, handler: () => void): Timer {
    return addTimer(this.timers, monotonicMs() + delayMs, handler);
  }

  /** Does nothing for a timer that has run. */
  cancel(timer: Timer): void {
    cancelTimer(this.timers, timer);
  }

  /**
   * Runs the handler in the loop each time the signal comes, instead of the signal's default
   * action.
   */
  onSignal(signal: NodeJS.Signals, handler: () => void): void {
    const note = (): void => void this.pending.push(handler);
    this.signals.push({ signal, handler, note });
    process.on(signal, note);
  }

  /** Ends run() after the handlers that are at hand, those of signals that have come among them. */
  stop(): void {
    this.stopping = true;
  }

  /** Runs until stop(); throws what a handler throws. */
  async run(): Promise<void> {
    this.stopping = false;
    let lastYieldMs = monotonicMs();
    let lastEventMs = lastYieldMs;
    while (!this.stopping) {
      const count = this.wait();
      const nowMs = this.handle(count);
      if (count > 0) {
        lastEventMs = nowMs;
        this.eventsSinceCollection += count;
      }
      if ((count === 0 && !this.hasMore) || nowMs - lastYieldMs >= YIELD_EVERY_MS) {
        this.collectWhenIdle(nowMs - lastEventMs);
        // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
        await this.yieldToSignals();
        lastYieldMs = monotonicMs();
      }
    }
    await this.yieldToSignals();
  }

  /** Handles what is at hand, without waiting and without yielding: outside of run(). */
  turn(): void {
    this.hasMore = true;
    this.handle(this.wait());
  }

  /** The time in between: behind the events, before the timers. */
  private handle(count: number): number {
    for (let index = 0; index < count; index++) this.dispatch(index);
    const nowMs = monotonicMs();
    runDueTimers(this.timers, nowMs);
    this.hasMore = this.turnEnd();
    return nowMs;
  }

  [Symbol.dispose](): void {
    for (const { signal, note } of this.signals) process.off(signal, note);
    this.signals.length = 0;
    this.watches.clear();
    this.epoll[Symbol.dispose]();
  }

  /** How many events came; 0 after a timeout or a signal. */
  private wait(): number {
    const timeoutMs = this.pending.length > 0 || this.hasMore ? 0 : this.untilNextTimerMs();
    const at = pointer(events.address);
    const count = libc.epoll_wait(this.epoll.number, at, EVENTS_PER_WAIT, timeoutMs);
    const errno = count === -1 ? lastErrno() : 0;
    if (count >= 0) return count;
    if (errno === EINTR) return 0;
    const object = this.epoll.name;
    throw systemError("Cannot wait for events", { call: "epoll_wait", errno, object });
  }

  private untilNextTimerMs(): number {
    const deadlineMs = nextDeadlineMs(this.timers);
    if (deadlineMs === undefined) return WAIT_MS_MAX;
    return Math.min(Math.ceil(Math.max(0, deadlineMs - monotonicMs())), WAIT_MS_MAX);
  }

  private dispatch(index: number): void {
    const at = index * EVENT.bytes;
    const watch = this.watches.get(events.view.getInt32(at + EVENT.dataAt, true));
    if (watch === undefined) return; // An earlier handler of this round has forgotten it.
    if (watch.generation !== events.view.getUint32(at + EVENT.dataAt + 4, true)) return;
    watch.handler(events.view.getUint32(at, true));
  }

  private async yieldToSignals(): Promise<void> {
    await yieldToRuntime();
    await yieldToRuntime(); // What the first turn brought in, the second one runs.
    const handlers = this.pending;
    this.pending = [];
    for (const handler of handlers) handler();
  }

  private collectWhenIdle(idleMs: number): void {
    if (this.eventsSinceCollection < BURST_EVENTS || idleMs < IDLE_MS_BEFORE_COLLECTING) return;
    this.eventsSinceCollection = 0;
    Bun.gc(true);
  }

  private control(operation: number, { fd, generation }: Watch, mask: number): void {
    registration.view.setUint32(0, mask, true);
    registration.view.setInt32(EVENT.dataAt, fd.number, true);
    registration.view.setUint32(EVENT.dataAt + 4, generation, true);
    const at = pointer(registration.address);
    const result = libc.epoll_ctl(this.epoll.number, operation, fd.number, at);
    const errno = result === -1 ? lastErrno() : 0;
    if (result === 0) return;
    throw systemError("Cannot watch a descriptor", { call: "epoll_ctl", errno, object: fd.name });
  }
}
