// Waiting, with duties on the side. The walk is synchronous: while it waits for its source or its
// target, nothing of the runtime runs. So whatever else a relay has to do (the back channel, the
// control socket, the line to its parent) is done from here, in the same poll.

import { Interrupted } from "../../bytes/index.ts";
import { PollSet } from "../../sys/index.ts";

/** Duties are looked after at least so often while the stream never has to wait. */
const BREATHE_MS = 50;
export const FOR_EVER = -1;

export interface Duty {
  /** Adds what it waits for. */
  enter(poll: PollSet): void;
  /** Does what can be done without waiting. Called after every wait, whatever came. */
  serve(poll: PollSet): void;
  /** In so many milliseconds it has to be looked after whatever comes; absent: never. */
  dueInMs?(): number;
}

export class Pump implements Disposable {
  private readonly poll = new PollSet();
  private readonly duties: Duty[] = [];
  private servedAtMs = 0;
  /** Why everything stops, once somebody has asked for it. */
  private stopReason: string | undefined;
  stoppedAtMs: number | undefined;

  addDuty(duty: Duty): void {
    this.duties.push(duty);
  }

  /** Ends the wait that is going on, and every later one, with Interrupted. */
  stop(reason: string): void {
    this.stopReason ??= reason;
    this.stoppedAtMs ??= performance.now();
  }

  get isStopped(): boolean {
    return this.stopReason !== undefined;
  }

  /** One wait for what `enter` adds, for the duties, and for at most `timeoutMs`. */
  wait(enter: (poll: PollSet) => void, timeoutMs: number): void {
    this.waitOut(enter, timeoutMs);
    if (this.stopReason !== undefined) throw new Interrupted(this.stopReason);
  }

  /** The same also when everything is to stop: for what must still be handed on. */
  waitOut(enter: (poll: PollSet) => void, timeoutMs: number): void {
    const { poll } = this;
    poll.clear();
    enter(poll);
    for (const duty of this.duties) duty.enter(poll);
    poll.wait(this.patience(timeoutMs));
    this.servedAtMs = performance.now();
    for (const duty of this.duties) duty.serve(poll);
  }

  private patience(timeoutMs: number): number {
    const due = this.duties.map((duty) => duty.dueInMs?.() ?? Infinity);
    const leftMs = Math.min(timeoutMs === FOR_EVER ? Infinity : timeoutMs, ...due);
    return leftMs === Infinity ? FOR_EVER : Math.ceil(leftMs);
  }

  /** To be called while the stream flows: looks after the duties when it is time. */
  breathe(): void {
    if (this.duties.length === 0) return;
    if (performance.now() - this.servedAtMs >= BREATHE_MS) this.wait(noMore, 0);
  }

  [Symbol.dispose](): void {
    this.poll[Symbol.dispose]();
  }
}

/** The duties alone. */
export const noMore = (): void => undefined;
