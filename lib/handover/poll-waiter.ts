// Waiting for a handover in a program that has no loop: one that reads a stream from its start to
// its end and polls between two steps. It is one more duty in that poll, or the only one (turn).

import { type Fd, monotonicMs, PollSet } from "../sys/index.ts";
import type { Deadline, Waiter } from "./waiter.ts";

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

export class PollWaiter implements Waiter, Disposable {
  private readonly watched = new Map<Fd, () => void>();
  private readonly timers = new Set<Timer>();
  private readonly poll = new PollSet();
  private places: { readonly fd: Fd; readonly place: number }[] = [];

  /** Nothing is waited for: no handover goes on. */
  get isIdle(): boolean {
    return this.watched.size === 0 && this.timers.size === 0;
  }

  watch(fd: Fd, onReadable: () => void): void {
    this.watched.set(fd, onReadable);
  }

  forget(fd: Fd): void {
    this.watched.delete(fd);
  }

  after(delayMs: number, run: () => void): Deadline {
    const timer: Timer = { atMs: monotonicMs() + delayMs, run };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  /** Milliseconds until a timer is due; Infinity without one. */
  dueInMs(): number {
    let atMs = Infinity;
    for (const timer of this.timers) atMs = Math.min(atMs, timer.atMs);
    return Math.max(0, atMs - monotonicMs());
  }

  enter(poll: PollSet): void {
    this.places = [...this.watched.keys()].map((fd) => ({ fd, place: poll.add(fd, "readable") }));
  }

  /** After a wait: calls back for what came. */
  serve(poll: PollSet): void {
    const ready = this.places.filter(({ place }) => poll.isReadable(place));
    this.places = [];
    for (const { fd } of ready) this.watched.get(fd)?.(); // One call may forget another.
    const nowMs = monotonicMs();
    for (const timer of [...this.timers]) {
      if (timer.atMs <= nowMs && this.timers.delete(timer)) timer.run();
    }
  }

  /** Waits for nothing else, for at most `mostMs` (Infinity: until something comes). */
  turn(mostMs: number): void {
    const leftMs = Math.min(mostMs, this.dueInMs());
    this.poll.clear();
    this.enter(this.poll);
    this.poll.wait(leftMs === Infinity ? -1 : Math.ceil(leftMs));
    this.serve(this.poll);
  }

  [Symbol.dispose](): void {
    this.poll[Symbol.dispose]();
  }
}
