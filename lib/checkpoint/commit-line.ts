// A line to a descriptor behind each commit, for whoever waits for it. A reader that is slow does
// not hold up the stream: lines wait here, and when too many do the oldest go, because a later one
// says more than all before it.

import { SystemError } from "../base/index.ts";
import {
  borrow,
  type Fd,
  type FileKind,
  type Loan,
  PIPE_STEP_BYTES,
  PollSet,
  TRY_AGAIN,
  writeReady,
} from "../sys/index.ts";
import type { Duty } from "./stream-source.ts";

const LINES_MAX = 1024;
const LAST_LINES_MS = 5000;

export interface WaitingLines {
  readonly lines: readonly string[];
  /** Of a line that is partly written, in base64. */
  readonly rest: string;
}

export class CommitLine implements Duty, Disposable {
  /** Why no more lines are written. */
  failure: string | undefined;
  private readonly fd: Fd;
  private readonly kind: FileKind;
  private readonly loan: Loan = borrow(PIPE_STEP_BYTES);
  private readonly lines: string[] = [];
  /** What is left of a line that is partly written. */
  private start = 0;
  private end = 0;
  private place = -1;

  /** The descriptor stays the caller's. `waiting`: what another program had not written yet. */
  constructor(fd: Fd, kind: FileKind, waiting?: WaitingLines) {
    this.fd = fd;
    this.kind = kind;
    if (waiting === undefined) return;
    this.lines.push(...waiting.lines);
    const rest = Buffer.from(waiting.rest, "base64").subarray(0, PIPE_STEP_BYTES);
    this.loan.region.bytes.set(rest);
    this.end = rest.length;
  }

  /** What waits for the reader. */
  get waiting(): WaitingLines {
    const rest = Buffer.from(this.loan.region.bytes.subarray(this.start, this.end));
    return { lines: [...this.lines], rest: rest.toString("base64") };
  }

  /** Without a line end, and shorter than a page. */
  add(line: string): void {
    if (this.failure !== undefined) return;
    if (this.lines.length === LINES_MAX) this.lines.shift();
    this.lines.push(line);
    using poll = new PollSet();
    this.enter(poll);
    poll.wait(0);
    this.serve(poll);
  }

  private get isIdle(): boolean {
    return this.failure !== undefined || (this.lines.length === 0 && this.start === this.end);
  }

  enter(poll: PollSet): void {
    this.place = this.isIdle ? -1 : poll.add(this.fd, "writable");
  }

  serve(poll: PollSet): void {
    if (this.place === -1 || this.isIdle || !poll.isWritable(this.place)) return;
    if (this.start === this.end) this.load();
    const part = { address: this.loan.region.address + this.start, bytes: this.end - this.start };
    try {
      const put = writeReady(this.fd, this.kind, part);
      if (put !== TRY_AGAIN) this.start += put;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.failure = error.message; // Nobody listens: no reason to stop receiving.
    }
  }

  private load(): void {
    const line = `${this.lines.shift() ?? ""}\n`;
    this.start = 0;
    this.end = new TextEncoder().encodeInto(line, this.loan.region.bytes).written;
  }

  /** The stream is over: what is left is written, if somebody reads it soon. */
  finish(): void {
    using poll = new PollSet();
    const deadlineMs = performance.now() + LAST_LINES_MS;
    while (!this.isIdle) {
      const leftMs = Math.ceil(deadlineMs - performance.now());
      if (leftMs <= 0) return;
      poll.clear();
      this.enter(poll);
      poll.wait(leftMs);
      this.serve(poll);
    }
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
