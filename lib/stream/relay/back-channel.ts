// The other direction: what the receiver says to the sender, passed on while the stream waits. What
// xl says is little and goes through memory, where the handshake is followed. A command that says
// something else may say a lot (a compressor does): from then on the kernel moves it.

import { SystemError } from "../../base/index.ts";
import {
  borrow,
  CANNOT_SPLICE,
  type Loan,
  PIPE_STEP_BYTES,
  type PollSet,
  readReady,
  spliceReady,
  stepBytes,
  TRY_AGAIN,
  writeReady,
} from "../../sys/index.ts";
import type { End } from "./channel-options.ts";
import type { Duty } from "./pump.ts";

export interface BackChannelOptions {
  readonly from: End;
  readonly to: End;
  /** Shows what passes. False: no more of it is wanted. */
  readonly onBytes: (bytes: Uint8Array) => boolean;
  /** Lets go of both ends: each side then sees the end of the other. */
  readonly letGo: () => void;
}

export interface BackState {
  readonly passedBytes: number;
  readonly isOver: boolean;
  readonly isLooking: boolean;
  readonly canSplice: boolean;
  readonly isToFull: boolean;
  /** Bytes on their way, in base64. */
  readonly held: string;
}

export class BackChannel implements Duty, Disposable {
  passedBytes = 0;
  /** The receiver has closed its side, or the sender does not listen any more. */
  isOver = false;
  private readonly options: BackChannelOptions;
  private readonly loan: Loan = borrow(PIPE_STEP_BYTES);
  private start = 0;
  private end = 0;
  private fromPlace = 0;
  private toPlace = 0;
  private isLooking = true;
  private canSplice = true;
  private readonly stepBytes: number;
  /** The last splice moved nothing although there is something to move. */
  private isToFull = false;

  constructor(options: BackChannelOptions) {
    this.options = options;
    const { fd, kind } = options.to;
    this.stepBytes = stepBytes(fd, kind);
  }

  get state(): BackState {
    const { passedBytes, isOver, isLooking, canSplice, isToFull } = this;
    const held = Buffer.from(this.loan.region.bytes.subarray(this.start, this.end));
    return {
      passedBytes,
      isOver,
      isLooking,
      canSplice,
      isToFull,
      held: held.toString("base64"),
    };
  }

  /** As another one was; its ends are here, unless it was over. */
  restore(state: BackState): void {
    this.passedBytes = state.passedBytes;
    this.isOver = state.isOver;
    this.isLooking = state.isLooking;
    this.canSplice = state.canSplice;
    this.isToFull = state.isToFull;
    const held = Buffer.from(state.held, "base64").subarray(0, PIPE_STEP_BYTES);
    this.loan.region.bytes.set(held);
    this.start = 0;
    this.end = held.length;
  }

  /** Nothing that the receiver said is still to be handed on. */
  get isEmpty(): boolean {
    return this.start === this.end;
  }

  enter(poll: PollSet): void {
    if (this.isOver) return;
    const { from, to } = this.options;
    this.fromPlace = -1;
    this.toPlace = -1;
    if (this.start === this.end && !this.isToFull) this.fromPlace = poll.add(from.fd, "readable");
    else this.toPlace = poll.add(to.fd, "writable");
  }

  serve(poll: PollSet): void {
    if (this.isOver) return;
    try {
      const isReadable = this.fromPlace !== -1 && poll.isReadable(this.fromPlace);
      const isWritable = this.toPlace !== -1 && poll.isWritable(this.toPlace);
      if (this.start < this.end) {
        if (isWritable) this.write();
      } else if (isReadable && this.isLooking) this.read();
      else if (isWritable) this.splice(false);
      else if (isReadable && this.options.to.kind !== "socket") this.splice(true);
      else if (isReadable) this.isToFull = true; // A socket is asked before it is written.
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.finish(); // One side has gone: the other is told by the end.
    }
  }

  private read(): void {
    const { address, bytes } = this.loan.region;
    const got = readReady(this.options.from.fd, address, PIPE_STEP_BYTES);
    if (got === TRY_AGAIN) return;
    if (got === 0) return this.finish();
    this.start = 0;
    this.end = got;
    this.isLooking = this.options.onBytes(bytes.subarray(0, got)) || !this.canSplice;
  }

  /** `isFromReady`: whether it can only be the other side that is not ready. */
  private splice(isFromReady: boolean): void {
    const { from, to } = this.options;
    const moved = spliceReady(from.fd, to.fd, this.stepBytes, "target");
    this.isToFull = moved === TRY_AGAIN && isFromReady;
    if (moved === 0) return this.finish();
    if (moved > 0) this.passedBytes += moved;
    if (moved !== CANNOT_SPLICE) return;
    this.canSplice = false;
    this.isLooking = true;
  }

  private write(): void {
    const { to } = this.options;
    const part = { address: this.loan.region.address + this.start, bytes: this.end - this.start };
    const put = writeReady(to.fd, to.kind, part);
    if (put === TRY_AGAIN) return;
    this.start += put;
    this.passedBytes += put;
  }

  private finish(): void {
    this.isOver = true;
    this.options.letGo();
  }

  [Symbol.dispose](): void {
    if (!this.isOver) this.finish();
    this.loan[Symbol.dispose]();
  }
}
