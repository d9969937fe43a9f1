// What one client has still to be sent. The store appends whole messages to it; the daemon sends
// from its front. While it is empty it owns no memory.
//
//   bytes   [........|first message, partly sent|second|...|......]
//                    start      sent                       end

import type { Outbox } from "../xenstore/index.ts";
import { HEADER_BYTES, OPERATION } from "../xenstore/index.ts";
import { type BufferPool, copyMemory, type PoolBuffer } from "../sys/index.ts";

const NOTHING = new Uint8Array(0);
const LENGTH_AT = 12;

export class ClientOutbox implements Outbox {
  bytes: Uint8Array = NOTHING;
  start = 0;
  end = 0;
  /** Where sending goes on: within the first message. */
  sent = 0;
  /** A message was lost because there was no room for it. */
  hasOverflowed = false;
  /** Place in the whole stream of what stands at 0: for marks that outlast a move. */
  base = 0;
  private buffer: PoolBuffer | undefined;
  private readonly pool: BufferPool;
  private readonly bytesMax: number;

  constructor(pool: BufferPool, bytesMax: number) {
    this.pool = pool;
    this.bytesMax = bytesMax;
  }

  reserve(bytes: number): boolean {
    return this.end + bytes <= this.bytes.length || this.makeRoom(bytes);
  }

  get queuedBytes(): number {
    return this.end - this.sent;
  }

  /** Where the unsent bytes begin in memory. */
  get address(): number {
    return this.buffer === undefined ? 0 : this.buffer.address + this.sent;
  }

  /** Takes note that `bytes` of them were sent. */
  advance(bytes: number): void {
    this.sent += bytes;
    if (this.sent === this.end) {
      this.clear();
      return;
    }
    const { view } = this.buffer!; // There is something to send, so there is a buffer.
    for (;;) {
      const next = this.start + HEADER_BYTES + view.getUint32(this.start + LENGTH_AT, true);
      if (next > this.sent) return;
      this.start = next;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.base += this.end;
    this.start = 0;
    this.end = 0;
    this.sent = 0;
    if (this.buffer === undefined) return;
    this.pool.give(this.buffer);
    this.buffer = undefined;
    this.bytes = NOTHING;
  }

  /** How many answers, not counting events, are queued. */
  countReplies(): number {
    let count = 0;
    this.forEachMessage((type) => {
      if (type !== OPERATION.WATCH_EVENT) count += 1;
    });
    return count;
  }

  /**
   * Takes out the events that begin before `before`, but not a message that is partly sent. Returns
   * how many bytes went, all of them in front of `before`.
   */
  dropEvents(before: number): number {
    const { buffer } = this;
    if (buffer === undefined) return 0;
    const { view, bytes } = buffer;
    let from = this.start;
    let to = this.start;
    while (from < this.end) {
      const length = HEADER_BYTES + view.getUint32(from + LENGTH_AT, true);
      const isEvent = view.getUint32(from, true) === OPERATION.WATCH_EVENT;
      const isBegun = from === this.start && this.sent > this.start;
      const isDropped = isEvent && from < before && !isBegun;
      if (!isDropped) {
        if (to !== from) bytes.copyWithin(to, from, from + length);
        to += length;
      }
      from += length;
    }
    const dropped = this.end - to;
    this.end = to;
    this.base += dropped;
    if (this.sent === this.end) this.clear();
    return dropped;
  }

  /** A copy of what is unsent from the first message on, the sent part of that included. */
  copy(): Uint8Array {
    return this.bytes.slice(this.start, this.end);
  }

  /** Puts such a copy back, `sentBytes` of its first message being sent already. */
  restore(messages: Uint8Array, sentBytes: number): boolean {
    if (messages.length === 0) return true;
    if (!this.reserve(messages.length)) return false;
    this.bytes.set(messages, this.end);
    this.end += messages.length;
    this.sent = this.start + sentBytes;
    return true;
  }

  private forEachMessage(visit: (type: number) => void): void {
    if (this.buffer === undefined) return;
    const { view } = this.buffer;
    for (let at = this.start; at < this.end;) {
      visit(view.getUint32(at, true));
      at += HEADER_BYTES + view.getUint32(at + LENGTH_AT, true);
    }
  }

  /** Moves what is queued to the front, or into a larger buffer. */
  private makeRoom(bytes: number): boolean {
    const queued = this.end - this.start;
    if (queued + bytes > this.bytesMax) return this.overflow();
    const old = this.buffer;
    // Moving pays only when it frees half of the buffer: else a full one is moved again and again.
    if (old !== undefined && queued + bytes <= old.bytes.length / 2) {
      old.bytes.copyWithin(0, this.start, this.end);
    } else {
      const wanted = queued === 0 ? bytes : Math.min((queued + bytes) * 2, this.bytesMax);
      const larger = this.pool.take(wanted);
      if (larger === undefined) return this.overflow();
      if (old !== undefined) {
        copyMemory(larger.address, old.address + this.start, queued);
        this.pool.give(old);
      }
      this.buffer = larger;
      this.bytes = larger.bytes;
    }
    this.base += this.start;
    this.sent -= this.start;
    this.start = 0;
    this.end = queued;
    return true;
  }

  private overflow(): boolean {
    this.hasOverflowed = true;
    return false;
  }
}
