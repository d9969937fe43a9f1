// A source whose bytes go on to a target as the walk moves over them. So walking it is relaying it,
// and nothing is parsed twice.
//
// What the walk takes is passed on when it comes for more: only then has it accepted those bytes. A
// bad header, or the END of a stream that was found bad, can thus be held back. What it skips goes
// on at once. Nothing is read that the walk did not ask for.

import { assert } from "../../base/index.ts";
import { PEEK_BYTES_MAX, type Source, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { borrow, type Loan } from "../../sys/index.ts";
import type { Channel } from "./channel.ts";

/** Room for what was peeked and a whole body behind it. */
const BUFFER_BYTES = WHOLE_BODY_BYTES + 4096;

export interface RelaySourceOptions {
  readonly name: string;
  readonly channel: Channel;
  /** Called before bytes are passed on. Throws to hold them back. */
  readonly onPassing: () => void;
  readonly carried: HeldBytes | undefined;
}

/** Bytes that were read and not passed on: the first `taken` were taken by the walk. */
export interface HeldBytes {
  readonly position: number;
  readonly taken: number;
  readonly bytes: Uint8Array;
}

export class RelaySource implements Source {
  readonly name: string;
  readonly bytesTotal = undefined;
  readonly shrunk = false;
  readonly takeBytesMax = WHOLE_BODY_BYTES;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  at = 0;
  position = 0;

  private readonly channel: Channel;
  private readonly onPassing: () => void;
  private readonly loan: Loan = borrow(BUFFER_BYTES);
  /** The buffer from `start` on: bytes taken and not passed on, then bytes peeked and not taken. */
  private start = 0;
  private takenBytes = 0;
  private peekedBytes = 0;

  /** It waits for the first byte behind `position`, or is not at work. */
  private isBetween = true;

  constructor({ name, channel, onPassing, carried }: RelaySourceOptions) {
    this.name = name;
    this.channel = channel;
    this.onPassing = onPassing;
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    if (carried === undefined) return;
    this.position = carried.position;
    this.bytes.set(carried.bytes);
    this.takenBytes = carried.taken;
    this.peekedBytes = carried.bytes.length - carried.taken;
    this.tellHeld();
  }

  get held(): HeldBytes {
    const { position, start, takenBytes: taken, peekedBytes } = this;
    return { position, taken, bytes: this.bytes.slice(start, start + taken + peekedBytes) };
  }

  /** Everything that was read is passed on or held: not in the middle of a step. */
  get isAtRest(): boolean {
    return this.isBetween && this.channel.takenBytes === this.position + this.peekedBytes;
  }

  take(bytes: number): number {
    assert(bytes <= this.takeBytesMax, "a take stays within takeBytesMax");
    this.isBetween = false;
    this.passOn();
    const got = Math.min(this.hold(bytes), bytes);
    this.isBetween = true;
    this.takenBytes = got;
    this.peekedBytes -= got;
    this.position += got;
    return got;
  }

  peek(bytes: number): number {
    assert(bytes <= PEEK_BYTES_MAX, "a peek stays within PEEK_BYTES_MAX");
    this.isBetween = false;
    this.passOn();
    const got = Math.min(this.hold(bytes), bytes);
    this.isBetween = true;
    return got;
  }

  skip(bytes: number): number {
    this.isBetween = false;
    this.passOn();
    const peeked = Math.min(bytes, this.peekedBytes);
    this.takenBytes = peeked;
    this.peekedBytes -= peeked;
    this.passOn();
    const moved = this.channel.splice(bytes - peeked);
    this.position += peeked + moved;
    this.isBetween = true;
    return peeked + moved;
  }

  move(): number {
    assert(false, "what is relayed has a target already");
  }

  /** Passes on what was taken, and what was peeked beyond it: the walk is over. */
  release(): void {
    this.takenBytes += this.peekedBytes;
    this.peekedBytes = 0;
    this.passOn();
  }

  private passOn(): void {
    if (this.takenBytes === 0) return;
    this.onPassing();
    this.channel.push(this.loan.region.address + this.start, this.takenBytes);
    this.start += this.takenBytes;
    this.takenBytes = 0;
    this.tellHeld();
  }

  /** Makes at least `bytes` bytes stand together; fewer only at the end. Nothing is taken. */
  private hold(bytes: number): number {
    if (this.peekedBytes < bytes) {
      this.bytes.copyWithin(0, this.start, this.start + this.peekedBytes);
      this.start = 0;
      const address = this.loan.region.address + this.peekedBytes;
      // Until a byte has come, everything is as it was: nothing stands half done.
      this.isBetween = true;
      this.peekedBytes += this.channel.read(address, bytes - this.peekedBytes);
      this.isBetween = false;
    }
    this.at = this.start;
    this.tellHeld();
    return this.peekedBytes;
  }

  private tellHeld(): void {
    this.channel.heldBytes = this.takenBytes + this.peekedBytes;
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
