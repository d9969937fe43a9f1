// One guest at the proxy: its front end (QEMU), the back end it talks to, and what is known of
// both.
//
// Every message goes through whole, with its descriptors, in its order; noted on its way is what a
// new back end would have to be told (device-record.ts). Three messages are changed: bits that the
// operator masks are taken out of the answers to GET_FEATURES and GET_PROTOCOL_FEATURES, and
// "device state" is added to SET_PROTOCOL_FEATURES, so that a state can be pulled also from under a
// QEMU before 10.
//
// Safe point. Between two messages, with no request unanswered, the back end's socket is nobody's:
// then, and only then, requests of our own may go to it. whenIdle() waits for that point.
//
// Back pressure. A message that does not fit its socket is held, and nothing more is read from
// where it came from until it has gone: at most one message a direction is ever in memory.

import { RefusedError } from "../base/index.ts";
import { type Fd, type Loop, READY_MASK, sendDescriptors, type Timer } from "../sys/index.ts";
import { DeviceRecord } from "./device-record.ts";
import { type Message, MessageReader } from "./message-reader.ts";
import {
  type KeyOf,
  recordFrom,
  recordState,
  restoreSide,
  type SessionState,
  type Side,
  sideState,
  type TakeFd,
} from "./session-state.ts";
import { FLAGS, hasBit, PROTOCOL_BIT, REQUEST, requestNameOf } from "./messages.ts";

const GONE_MASK = READY_MASK.hangUp | READY_MASK.failed;

export interface Masks {
  /** Bits never offered to the guest. */
  readonly features: bigint;
  readonly protocolFeatures: bigint;
}

/** What of the loop a session uses: a test steps it by hand. */
export type SessionLoop = Pick<Loop, "watch" | "change" | "forget" | "after" | "cancel">;

export interface SessionOptions {
  readonly loop: SessionLoop;
  readonly front: Fd;
  readonly back: Fd;
  readonly masks: Masks;
  /** Called once, when either side has gone; `reason` is empty for an ordinary end. */
  readonly onEnd: (reason: string) => void;
  /** Of a program that has been replaced by this one. */
  readonly restored: { readonly state: SessionState; readonly take: TakeFd } | undefined;
}

/** Owns both sockets and the record. */
export class Session implements Disposable {
  readonly record: DeviceRecord;
  messageCount = 0;
  /** Called before anything is read or written. */
  onTraffic: () => void = () => {};
  private readonly options: SessionOptions;
  private readonly front: Side;
  private back: Side;
  /** Requests whose answers are due, oldest first. */
  private readonly due: number[] = [];
  private offeredProtocol = 0n;
  private waiting: { readonly run: () => void; readonly timer: Timer } | undefined;
  private ended = false;

  /** Begins at once, or is paused where another program has stopped. */
  constructor(options: SessionOptions) {
    this.options = options;
    this.front = sideOf(options.front);
    this.back = sideOf(options.back);
    const { restored } = options;
    if (restored === undefined) {
      this.record = new DeviceRecord();
    } else {
      const { state, take } = restored;
      this.record = recordFrom(state.record, take);
      restoreSide(this.front, state.front, take);
      restoreSide(this.back, state.back, take);
      this.due.push(...state.due);
      this.offeredProtocol = BigInt(state.offered_protocol);
      this.messageCount = state.messages;
      return; // It is paused still.
    }
    this.resume();
  }

  /** All there is to know of it, for a program that goes on with it. */
  state(keyOf: KeyOf): SessionState {
    return {
      front: sideState(this.front, keyOf),
      back: sideState(this.back, keyOf),
      due: [...this.due],
      offered_protocol: `0x${this.offeredProtocol.toString(16)}`,
      messages: this.messageCount,
      record: recordState(this.record, keyOf),
    };
  }

  /** An operation waits for a safe point. */
  get isWaited(): boolean {
    return this.waiting !== undefined;
  }

  /** Nothing is passed on until resume(). */
  pause(): void {
    for (const side of [this.front, this.back]) this.options.loop.forget(side.socket);
  }

  resume(): void {
    this.watch(this.front, this.back);
    this.watch(this.back, this.front);
    const full = [this.front, this.back].find(({ held }) => held !== undefined);
    if (full !== undefined) this.changeWatches(full);
  }

  get backSocket(): Fd {
    return this.back.socket;
  }

  get sockets(): readonly Fd[] {
    return [this.front.socket, this.back.socket];
  }

  /** Between two messages in both directions, and nothing is due. */
  get isIdle(): boolean {
    const { front, back, due } = this;
    const isBetween = (side: Side): boolean =>
      side.held === undefined && side.reader.halfRead.length === 0;
    return due.length === 0 && isBetween(front) && isBetween(back);
  }

  /** Runs the operation at the next safe point, or `onLate` when there is none in time. */
  whenIdle(waitMs: number, run: () => void, onLate: () => void): void {
    if (this.isIdle) {
      run();
      return;
    }
    if (this.waiting !== undefined)
      throw new RefusedError("Another operation waits for this guest");
    const timer = this.options.loop.after(waitMs, () => {
      this.waiting = undefined;
      onLate();
    });
    this.waiting = { run, timer };
  }

  /** Puts another back end in the place of the one there is, which is closed. At a safe point. */
  replaceBack(socket: Fd): void {
    const { loop } = this.options;
    loop.forget(this.back.socket);
    closeSide(this.back);
    this.back = sideOf(socket);
    this.watch(this.back, this.front);
  }

  [Symbol.dispose](): void {
    if (this.ended) return;
    this.ended = true;
    const { loop } = this.options;
    if (this.waiting !== undefined) loop.cancel(this.waiting.timer);
    for (const side of [this.front, this.back]) {
      loop.forget(side.socket);
      closeSide(side);
    }
    this.record[Symbol.dispose]();
  }

  /** Ends it, and tells why. */
  end(reason: string): void {
    if (this.ended) return;
    this[Symbol.dispose]();
    this.options.onEnd(reason);
  }

  private watch(side: Side, other: Side): void {
    this.options.loop.watch(side.socket, READY_MASK.readable, (ready) => {
      this.onTraffic();
      if ((ready & READY_MASK.writable) !== 0 && side.held !== undefined) this.sendHeld(side);
      if (this.ended || !this.isCurrent(side) || (ready & ~READY_MASK.writable) === 0) return;
      const isBlocked = (side === this.front ? this.back : other).held !== undefined;
      // Nothing more is read from it now, and what it sent last cannot be passed on.
      if (isBlocked && (ready & GONE_MASK) !== 0) this.end("");
      else this.pump(side, other);
    });
  }

  private isCurrent(side: Side): boolean {
    return side === this.front || side === this.back;
  }

  /** Passes on what has come, until there is no more or it does not fit. */
  private pump(from: Side, to: Side): void {
    // The other side of the front end changes when the back end is replaced.
    const target = from === this.front ? this.back : to;
    try {
      while (target.held === undefined && !this.ended) {
        const message = from.reader.next();
        if (message === "wait") break;
        if (message === "end") {
          this.end("");
          return;
        }
        this.messageCount += 1;
        const passed = from === this.front ? this.outward(message) : this.inward(message);
        this.pass(passed, target);
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name === "Bug") throw error;
      this.end(error.message); // A message that makes no sense, or a side that was reset.
      return;
    }
    if (from === this.back) this.runWaiting();
  }

  private pass(message: Message, to: Side): void {
    const numbers = message.descriptors.map(({ number }) => number);
    if (sendDescriptors(to.socket, message.bytes, numbers) > 0) {
      message[Symbol.dispose]();
      return;
    }
    to.held = message;
    this.changeWatches(to);
  }

  private sendHeld(side: Side): void {
    const { held } = side;
    if (held === undefined) return;
    side.held = undefined;
    try {
      this.pass(held, side);
    } catch (error) {
      if (!(error instanceof Error) || error.name === "Bug") throw error;
      held[Symbol.dispose]();
      this.end(error.message);
      return;
    }
    if (side.held === undefined) this.changeWatches(side);
  }

  /** Whoever sends to a side that is full is not read from; the side is watched for room. */
  private changeWatches(full: Side): void {
    const { loop } = this.options;
    const sender = full === this.front ? this.back : this.front;
    const room = full.held === undefined ? 0 : READY_MASK.writable;
    const more = sender.held === undefined ? 0 : READY_MASK.writable;
    const fullReads = sender.held === undefined ? READY_MASK.readable : 0;
    loop.change(full.socket, room | fullReads);
    loop.change(sender.socket, more | (full.held === undefined ? READY_MASK.readable : 0));
  }

  /** A request on its way to the back end. */
  private outward(message: Message): Message {
    const name = requestNameOf(message.request);
    let passed = message;
    if (name === "SET_PROTOCOL_FEATURES" && message.view.byteLength === 8) {
      const wanted = message.view.getBigUint64(0, true);
      const added = this.offeredProtocol & (1n << PROTOCOL_BIT.deviceState);
      passed = withNumber(message, wanted | added);
    }
    this.record.note(passed);
    const row = name === undefined ? undefined : REQUEST[name];
    const acked = this.record.number("SET_PROTOCOL_FEATURES") ?? 0n;
    const isAcknowledged =
      (message.flags & FLAGS.needReply) !== 0 && hasBit(acked, PROTOCOL_BIT.replyAck);
    if (row?.answer === "always" || isAcknowledged) this.due.push(message.request);
    return passed;
  }

  /** An answer on its way to the front end. */
  private inward(message: Message): Message {
    const at = this.due.indexOf(message.request);
    if (at !== -1) this.due.splice(0, at + 1); // What was due before it was not answered.
    const name = requestNameOf(message.request);
    const { byteLength } = message.view;
    if (byteLength !== 8) return message;
    if (name === "GET_VRING_BASE") {
      this.record.noteBase(message.view.getUint32(0, true), message.view.getUint32(4, true));
    }
    const { features, protocolFeatures } = this.options.masks;
    const value = message.view.getBigUint64(0, true);
    if (name === "GET_FEATURES") return withNumber(message, value & ~features);
    if (name !== "GET_PROTOCOL_FEATURES") return message;
    this.offeredProtocol = value;
    return withNumber(message, value & ~protocolFeatures);
  }

  private runWaiting(): void {
    const { waiting } = this;
    if (waiting === undefined || this.ended || !this.isIdle) return;
    this.waiting = undefined;
    this.options.loop.cancel(waiting.timer);
    waiting.run();
  }
}

const sideOf = (socket: Fd): Side => ({
  socket,
  reader: new MessageReader(socket),
  held: undefined,
});

function closeSide(side: Side): void {
  side.reader[Symbol.dispose]();
  side.held?.[Symbol.dispose]();
  side.socket[Symbol.dispose]();
}

/** The same message with another u64 in it. */
function withNumber(message: Message, value: bigint): Message {
  message.view.setBigUint64(0, value, true);
  return message;
}
