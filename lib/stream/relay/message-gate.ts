// The control pipes of a save helper with checkpoints, where the stream's descriptor changes hands:
// libxl writes or reads its own records on it between two messages. (A helper without checkpoints
// keeps its control pipes to itself.) Bytes pass unchanged; only when they pass is decided here.
//
//   save     a message goes to libxl once every byte that the helper wrote before it is through:
//            libxl's records must come behind them
//   restore  behind a CHECKPOINT nothing is read until the helper has taken it up and libxl has
//            answered it: until then the bytes are libxl's

import { SystemError } from "../../base/index.ts";
import {
  borrow,
  type Loan,
  PIPE_STEP_BYTES,
  type PollSet,
  readReady,
  TRY_AGAIN,
  writeReady,
} from "../../sys/index.ts";
import type { Channel } from "./channel.ts";
import type { End } from "./channel-options.ts";
import type { Duty } from "./pump.ts";

export interface GatePipe {
  readonly from: End;
  readonly to: End;
}

export interface MessageGateOptions {
  readonly direction: "save" | "restore";
  readonly helperToLibxl: GatePipe;
  readonly libxlToHelper: GatePipe;
  /** Closes our ends of one of them: the other side sees its peer go. */
  readonly letGo: (pipe: GatePipe) => void;
}

/** One direction: at most one buffer of bytes on their way. */
interface Lane {
  readonly pipe: GatePipe;
  readonly loan: Loan;
  start: number;
  end: number;
  fromPlace: number;
  toPlace: number;
  isOver: boolean;
}

export interface LaneState {
  readonly isOver: boolean;
  /** Bytes on their way, in base64. */
  readonly held: string;
}
export interface GateState {
  readonly mark: number;
  readonly awaitsReply: boolean;
  readonly messages: LaneState;
  readonly replies: LaneState;
}

export class MessageGate implements Duty, Disposable {
  private readonly options: MessageGateOptions;
  private readonly messages: Lane;
  private readonly replies: Lane;
  private channel: Channel | undefined;
  /** Save: bytes that must be delivered before the message at hand. */
  private mark = 0;
  /** Restore: a CHECKPOINT went to the helper and has not been answered. */
  private awaitsReply = false;

  constructor(options: MessageGateOptions) {
    this.options = options;
    this.messages = laneOf(options.helperToLibxl);
    this.replies = laneOf(options.libxlToHelper);
  }

  get state(): GateState {
    const { mark, awaitsReply } = this;
    const [messages, replies] = [this.messages, this.replies].map(
      ({ isOver, loan, start, end }) => ({
        isOver,
        held: Buffer.from(loan.region.bytes.subarray(start, end)).toString("base64"),
      }),
    );
    return { mark, awaitsReply, messages: messages!, replies: replies! };
  }

  /** As another one was; the ends of a lane that is not over are here. */
  restore(state: GateState): void {
    this.mark = state.mark;
    this.awaitsReply = state.awaitsReply;
    for (const name of ["messages", "replies"] as const) {
      const lane = this[name];
      const held = Buffer.from(state[name].held, "base64").subarray(0, PIPE_STEP_BYTES);
      lane.loan.region.bytes.set(held);
      lane.start = 0;
      lane.end = held.length;
      lane.isOver = state[name].isOver;
    }
  }

  /** The stream beside the messages. */
  attach(channel: Channel): void {
    this.channel = channel;
  }

  get mayRead(): boolean {
    return !this.awaitsReply;
  }

  get isOver(): boolean {
    return this.messages.isOver;
  }

  /** The walk has read a CHECKPOINT; it is on its way to the helper. */
  checkpoint(): void {
    if (this.options.direction === "restore") this.awaitsReply = true;
  }

  /** The stream is over: nothing is held for it any more. */
  release(): void {
    this.channel = undefined;
  }

  enter(poll: PollSet): void {
    for (const lane of [this.messages, this.replies]) {
      lane.fromPlace = -1;
      lane.toPlace = -1;
      if (lane.isOver) continue;
      if (lane.start === lane.end) lane.fromPlace = poll.add(lane.pipe.from.fd, "readable");
      else if (lane !== this.messages || this.isMessageDue()) {
        lane.toPlace = poll.add(lane.pipe.to.fd, "writable");
      }
    }
  }

  serve(poll: PollSet): void {
    for (const lane of [this.messages, this.replies]) {
      if (lane.isOver) continue;
      try {
        if (lane.fromPlace !== -1 && poll.isReadable(lane.fromPlace)) this.read(lane);
        else if (lane.toPlace !== -1 && poll.isWritable(lane.toPlace)) this.write(lane);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        this.finish(lane);
      }
    }
  }

  /** Or when nothing is on its way: what was counted may have been taken back by a dying helper. */
  private isMessageDue(): boolean {
    if (this.options.direction === "restore" || this.channel === undefined) return true;
    return this.channel.deliveredBytes >= this.mark || this.channel.isIdle;
  }

  private read(lane: Lane): void {
    const { address } = lane.loan.region;
    const got = readReady(lane.pipe.from.fd, address, PIPE_STEP_BYTES);
    if (got === TRY_AGAIN) return;
    if (got === 0) return this.finish(lane);
    lane.start = 0;
    lane.end = got;
    const { channel } = this;
    if (lane === this.messages && channel !== undefined) {
      this.mark = channel.takenBytes + channel.waitingBytes;
    }
  }

  private write(lane: Lane): void {
    const { fd, kind } = lane.pipe.to;
    const part = { address: lane.loan.region.address + lane.start, bytes: lane.end - lane.start };
    // Asked before the helper can go on. It reads a record whole before it asks libxl anything:
    // when it has taken up the CHECKPOINT, this is the answer to that and to nothing earlier.
    const answersCheckpoint = lane === this.replies && (this.channel?.isTakenUp ?? true);
    const put = writeReady(fd, kind, part);
    if (put === TRY_AGAIN) return;
    lane.start += put;
    if (answersCheckpoint) this.awaitsReply = false;
  }

  private finish(lane: Lane): void {
    lane.isOver = true;
    this.options.letGo(lane.pipe);
    // Nobody answers any more, so nobody reads on: the helper's end decides what happens.
    if (lane === this.replies) this.awaitsReply = false;
  }

  [Symbol.dispose](): void {
    for (const lane of [this.messages, this.replies]) {
      if (!lane.isOver) this.finish(lane);
      lane.loan[Symbol.dispose]();
    }
  }
}

const laneOf = (pipe: GatePipe): Lane => ({
  pipe,
  loan: borrow(PIPE_STEP_BYTES),
  start: 0,
  end: 0,
  fromPlace: -1,
  toPlace: -1,
  isOver: false,
});
