// The holder as one more client of the heir: it asks what it knows the answers to.

import { RefusedError } from "../base/index.ts";
import { borrow, type Fd, readReady, TRY_AGAIN, writeReady } from "../sys/index.ts";
import { guarded } from "./guarded.ts";
import type { ProbeTalk } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

const READ_BYTES = 4096;

/** Owns its end of the connection. Calls back once, also from within its constructor. */
export class ProbeClient implements Disposable {
  private readonly fd: Fd;
  private readonly waiter: Waiter;
  private readonly talk: ProbeTalk;
  private readonly onEnd: (wrong: string | undefined) => void;
  private received: Uint8Array = new Uint8Array(0);
  private isOver = false;

  constructor(fd: Fd, waiter: Waiter, talk: ProbeTalk, onEnd: (wrong: string | undefined) => void) {
    this.fd = fd;
    this.waiter = waiter;
    this.talk = talk;
    this.onEnd = onEnd;
    waiter.watch(fd, () => this.attempt(() => this.read()));
    this.attempt(() => this.send(talk.opening));
  }

  private read(): void {
    using loan = borrow(READ_BYTES);
    const got = readReady(this.fd, loan.region.address, READ_BYTES);
    if (got === TRY_AGAIN) return;
    if (got === 0) throw new RefusedError("it closed the connection");
    this.received = Buffer.concat([this.received, loan.region.bytes.subarray(0, got)]);
    const step = this.talk.next(this.received);
    if (step.kind === "right") return this.end(undefined);
    if (step.kind === "more") return;
    this.received = new Uint8Array(0);
    this.send(step.bytes);
  }

  private send(bytes: Uint8Array): void {
    using loan = borrow(READ_BYTES);
    loan.region.bytes.set(bytes);
    const source = { address: loan.region.address, bytes: bytes.length };
    const put = writeReady(this.fd, "socket", source);
    if (put !== bytes.length) throw new RefusedError("it takes no request");
  }

  /** What goes wrong with this connection is an answer too. */
  private attempt(step: () => void): void {
    guarded(step, (reason) => this.end(reason));
  }

  private end(wrong: string | undefined): void {
    if (this.isOver) return;
    this[Symbol.dispose]();
    this.onEnd(wrong);
  }

  [Symbol.dispose](): void {
    if (this.isOver) return;
    this.isOver = true;
    this.waiter.forget(this.fd);
    this.fd[Symbol.dispose]();
  }
}
