// The forward direction: bytes from a source to a target, by the kernel where nobody looks at them.
//
//   source ── splice ────────────────────────────> target     a body, when nothing is in between
//   source ── splice ──> middle ──> (tee) ──> target          otherwise
//   source ── read ──> memory ──> middle                      what the walk looks at
//
// The middle is a pipe of ours. It keeps the order of bodies and of what came through memory, makes
// splice possible between any two descriptors, and lets tee make a capture. It is emptied before
// anybody waits for the source: nothing is held back from the target that could go.
//
// No descriptor but our own is made non-blocking. Whoever must be waited for is polled, together
// with the relay's other duties (pump.ts).

import { assert, SystemError } from "../../base/index.ts";
import { Interrupted } from "../../bytes/index.ts";
import {
  borrow,
  bytesWaiting,
  CANNOT_SPLICE,
  enlargePipe,
  type Loan,
  makeNonBlocking,
  makePipe,
  type Pipe,
  PIPE_BYTES_WANTED,
  PollSet,
  readerGone,
  readReady,
  spliceReady,
  stepBytes,
  TRY_AGAIN,
  writeFully,
  writeReady,
} from "../../sys/index.ts";
import { rateLimiter } from "../input/index.ts";
import type { Capture } from "./capture.ts";
import type { ChannelOptions, ChannelState, End, Side } from "./channel-options.ts";
import { FOR_EVER, type Pump } from "./pump.ts";

/** Where the kernel cannot splice, bytes go through memory in pieces of this size. */
const COPY_BYTES = 64 * 1024;
/** A limited relay moves in steps of a twentieth of a second, and never less than a page. */
const LIMITED_STEPS_PER_SECOND = 20;
const LIMITED_STEP_BYTES_MIN = 4096;

export class Channel implements Disposable {
  /** Bytes read from the source, and bytes that the target has taken. */
  takenBytes = 0;
  deliveredBytes = 0;
  /** Bytes that the walk has taken and not passed on yet. */
  heldBytes = 0;
  sourceWaitMs = 0;
  targetWaitMs = 0;
  /** What ended the relay, where it was one of its ends. */
  failure: { readonly side: Side; readonly error: SystemError } | undefined;

  private readonly source: End;
  private readonly target: End;
  private readonly pump: Pump;
  private readonly mayRead: (() => boolean) | undefined;
  private readonly targetStepBytes: number;
  private readonly limit: ((position: number) => void) | undefined;
  private readonly limitedStepBytes: number;
  private readonly quick = new PollSet();
  private readonly loan: Loan = borrow(COPY_BYTES);
  readonly middle: Pipe;
  private readonly middleBytesMax: number;
  private middleBytes = 0;
  /** How many bytes at the front of the middle the capture has. */
  private copiedBytes = 0;
  private capture: Capture | undefined;
  private canSpliceIn: boolean;
  private canSpliceOut = true;
  private canGoDirect: boolean;

  constructor({ source, target, pump, capture, rate, mayRead, carried }: ChannelOptions) {
    this.middle = carried?.middle ?? makePipe();
    this.source = source;
    this.target = target;
    this.pump = pump;
    this.capture = capture;
    this.mayRead = mayRead;
    this.middleBytesMax = enlargePipe(this.middle.writeEnd);
    makeNonBlocking(this.middle.readEnd);
    makeNonBlocking(this.middle.writeEnd);
    if (source.kind === "pipe") enlargePipe(source.fd);
    if (target.kind === "pipe") enlargePipe(target.fd);
    this.targetStepBytes = stepBytes(target.fd, target.kind);
    this.canSpliceIn = source.kind !== "character";
    this.canGoDirect = source.kind === "pipe" || target.kind === "pipe";
    if (carried !== undefined) this.restore(carried.state);
    const sleep = (milliseconds: number): void => this.rest(milliseconds);
    const now = (): number => performance.now();
    this.limit = rate === undefined ? undefined : rateLimiter(rate, { now, sleep });
    this.limitedStepBytes =
      rate === undefined
        ? PIPE_BYTES_WANTED
        : Math.max(Math.floor(rate / LIMITED_STEPS_PER_SECOND), LIMITED_STEP_BYTES_MIN);
  }

  get state(): ChannelState {
    const { takenBytes, deliveredBytes, sourceWaitMs, targetWaitMs } = this;
    const { middleBytes, copiedBytes, canSpliceIn, canSpliceOut, canGoDirect } = this;
    return {
      takenBytes,
      deliveredBytes,
      sourceWaitMs,
      targetWaitMs,
      middleBytes,
      copiedBytes,
      canSpliceIn,
      canSpliceOut,
      canGoDirect,
    };
  }

  private restore(state: ChannelState): void {
    this.takenBytes = state.takenBytes;
    this.deliveredBytes = state.deliveredBytes;
    this.sourceWaitMs = state.sourceWaitMs;
    this.targetWaitMs = state.targetWaitMs;
    this.middleBytes = state.middleBytes;
    this.copiedBytes = state.copiedBytes;
    this.canSpliceIn = state.canSpliceIn;
    this.canSpliceOut = state.canSpliceOut;
    this.canGoDirect = state.canGoDirect;
  }

  /** Nothing stands between the source's last byte and the target. */
  get isIdle(): boolean {
    const isThrough = this.middleBytes === 0 && this.heldBytes === 0;
    return isThrough && bytesWaiting(this.source.fd) === 0;
  }

  /** Bytes that the source holds ready and that have not been taken. */
  get waitingBytes(): number {
    return bytesWaiting(this.source.fd);
  }

  /** Whether all that was taken has been taken up by the target and, where that shows, read. */
  get isTakenUp(): boolean {
    const isThrough = this.middleBytes === 0 && this.heldBytes === 0;
    return isThrough && bytesWaiting(this.target.fd) === 0;
  }

  // ---- In --------------------------------------------------------------------------------------

  /** Reads exactly `bytes` into memory; fewer only at the end of the input. */
  read(address: number, bytes: number): number {
    let done = 0;
    while (done < bytes) {
      const got = this.readSome(address + done, bytes - done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  /** Reads what is there, at least a byte; 0 at the end of the input. */
  readSome(address: number, bytes: number): number {
    for (;;) {
      this.waitForSource();
      const want = Math.min(bytes, this.limitedStepBytes);
      const got = this.guarded("source", () => readReady(this.source.fd, address, want));
      if (got === TRY_AGAIN) continue;
      this.count(got);
      return got;
    }
  }

  /** Moves exactly `bytes` on to the target, unseen; fewer only at the end of the input. */
  splice(bytes: number): number {
    let done = 0;
    while (done < bytes) {
      this.waitForSource();
      const moved = this.moveSome(Math.min(bytes - done, this.limitedStepBytes));
      if (moved === 0) break;
      if (moved === TRY_AGAIN) continue;
      this.count(moved);
      done += moved;
    }
    return done;
  }

  private count(bytes: number): void {
    this.takenBytes += bytes;
    this.limit?.(this.takenBytes);
  }

  /** The source is readable. Moves some, or makes room; TRY_AGAIN where nothing was moved. */
  private moveSome(bytes: number): number {
    if (this.canGoDirect && this.middleBytes > 0 && this.capture === undefined) this.drain();
    if (this.canGoDirect && this.middleBytes === 0 && this.capture === undefined) {
      return this.moveDirect(bytes);
    }
    if (!this.canSpliceIn) return this.moveThroughMemory(bytes);
    const room = this.middleBytesMax - this.middleBytes;
    if (room === 0) return this.makeRoom();
    const want = Math.min(bytes, room);
    const { source, middle } = this;
    const moved = this.guarded("source", () =>
      spliceReady(source.fd, middle.writeEnd, want, "source"),
    );
    if (moved === TRY_AGAIN) return this.makeRoom(); // Small pieces fill a pipe before its size.
    if (moved === CANNOT_SPLICE) {
      this.canSpliceIn = false;
      return TRY_AGAIN;
    }
    this.middleBytes += moved;
    return moved;
  }

  private moveDirect(bytes: number): number {
    const { source, target } = this;
    if (target.kind === "socket" && !this.isWritableNow()) return this.makeRoom();
    const want = Math.min(bytes, this.targetStepBytes);
    const blame = source.kind === "socket" ? "source" : "target";
    const moved = this.guarded(blame, () => spliceReady(source.fd, target.fd, want, blame));
    if (moved > 0) this.deliveredBytes += moved;
    if (moved === TRY_AGAIN) return this.makeRoom();
    if (moved !== CANNOT_SPLICE) return moved;
    this.canGoDirect = false;
    return TRY_AGAIN;
  }

  private moveThroughMemory(bytes: number): number {
    const { address } = this.loan.region;
    const want = Math.min(bytes, COPY_BYTES);
    const got = this.guarded("source", () => readReady(this.source.fd, address, want));
    if (got > 0) this.push(address, got);
    return got;
  }

  private makeRoom(): typeof TRY_AGAIN {
    if (this.middleBytes === 0 || !this.drain()) this.waitForTarget();
    return TRY_AGAIN;
  }

  /** Puts memory behind what is on its way to the target. */
  push(address: number, bytes: number): void {
    for (let done = 0; done < bytes;) {
      const room = this.middleBytesMax - this.middleBytes;
      const part = { address: address + done, bytes: Math.min(bytes - done, room) };
      const put = room === 0 ? TRY_AGAIN : writeReady(this.middle.writeEnd, "pipe", part);
      if (put === TRY_AGAIN) {
        this.makeRoom();
        continue;
      }
      this.middleBytes += put;
      done += put;
    }
  }

  // ---- Out -------------------------------------------------------------------------------------

  /** Waits until the target has taken everything. */
  flush(): void {
    while (this.middleBytes > 0) {
      if (!this.drain()) this.waitForTarget();
    }
  }

  /** From here on nothing more belongs into the capture. Everything before must be flushed. */
  endCapture(): void {
    assert(this.middleBytes === 0, "a capture ends between two bytes that are both through");
    this.capture = undefined;
  }

  /** Moves on what the target takes now. False where it takes nothing. */
  private drain(): boolean {
    let hasMoved = false;
    while (this.middleBytes > 0) {
      if (this.copiedBytes === 0 && this.capture !== undefined) {
        this.copiedBytes = this.capture.copyFrom(this.middle.readEnd, this.middleBytes);
      }
      const most = this.capture === undefined ? this.middleBytes : this.copiedBytes;
      const moved = this.moveOut(Math.min(most, this.targetStepBytes));
      if (moved === TRY_AGAIN) break;
      hasMoved = true;
      this.middleBytes -= moved;
      this.deliveredBytes += moved;
      this.copiedBytes = Math.max(0, this.copiedBytes - moved);
    }
    return hasMoved;
  }

  private moveOut(bytes: number): number {
    const { middle, target } = this;
    if (target.kind === "socket" && !this.isWritableNow()) return TRY_AGAIN;
    if (this.canSpliceOut) {
      const moved = this.guarded("target", () =>
        spliceReady(middle.readEnd, target.fd, bytes, "target"),
      );
      if (moved !== CANNOT_SPLICE) return moved;
      this.canSpliceOut = false;
    }
    // A file opened to append, a terminal: nothing that a relay would have to wait for.
    const { address } = this.loan.region;
    const got = readReady(middle.readEnd, address, Math.min(bytes, COPY_BYTES));
    if (got > 0) this.guarded("target", () => writeFully(target.fd, address, got));
    return got;
  }

  // ---- Waiting ---------------------------------------------------------------------------------

  private waitForSource(): void {
    this.pump.breathe();
    const { source, mayRead, pump } = this;
    for (;;) {
      const isAllowed = mayRead?.() ?? true;
      if (isAllowed && (source.kind === "file" || this.isReadableNow())) return;
      const isEmpty = this.middleBytes === 0;
      if (!isEmpty && this.drain()) continue;
      const startedAt = performance.now();
      pump.wait((poll) => {
        if (isAllowed) poll.add(source.fd, "readable");
        this.enterTarget(poll, isEmpty ? "failure" : "writable");
      }, FOR_EVER);
      this.sourceWaitMs += performance.now() - startedAt;
      this.checkTarget();
    }
  }

  private waitForTarget(): void {
    const startedAt = performance.now();
    this.pump.wait((poll) => this.enterTarget(poll, "writable"), FOR_EVER);
    this.targetWaitMs += performance.now() - startedAt;
  }

  private enterTarget(poll: PollSet, wanted: "failure" | "writable"): void {
    // A socket whose peer has closed would end every wait at once: there a write will tell.
    const { fd, kind } = this.target;
    if (kind === "pipe" || (kind !== "file" && wanted === "writable")) poll.add(fd, wanted);
  }

  /** A reader that has gone is noticed although nothing is to be written. */
  private checkTarget(): void {
    if (this.target.kind !== "pipe") return;
    const { quick, target } = this;
    quick.clear();
    const place = quick.add(target.fd, "failure");
    quick.wait(0);
    if (!quick.hasFailed(place)) return;
    this.guarded("target", () => {
      throw readerGone(target.fd);
    });
  }

  private isReadableNow(): boolean {
    const { quick } = this;
    quick.clear();
    const place = quick.add(this.source.fd, "readable");
    return quick.wait(0) && quick.isReadable(place);
  }

  private isWritableNow(): boolean {
    const { quick } = this;
    quick.clear();
    const place = quick.add(this.target.fd, "writable");
    return quick.wait(0) && quick.isWritable(place);
  }

  /** Sleeps for the rate limit, and lets everything else go on. */
  private rest(milliseconds: number): void {
    const untilMs = performance.now() + milliseconds;
    for (let left = milliseconds; left > 0; left = untilMs - performance.now()) {
      const isEmpty = this.middleBytes === 0 || !this.drain();
      const wanted = isEmpty && this.middleBytes > 0 ? "writable" : "failure";
      this.pump.wait((poll) => this.enterTarget(poll, wanted), Math.ceil(left));
    }
  }

  /** Turns an error of one end into the end of the relay. */
  private guarded<T>(side: Side, step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.failure = { side: error.failure.code === "EPIPE" ? "target" : side, error };
      throw new Interrupted(error.message, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.quick[Symbol.dispose]();
    this.loan[Symbol.dispose]();
    this.middle.readEnd[Symbol.dispose]();
    this.middle.writeEnd[Symbol.dispose]();
  }
}
