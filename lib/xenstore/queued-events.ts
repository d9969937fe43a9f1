// Whether an event is queued already. A queue is looked through from where the last one was found,
// since events that were queued in some order come again in that order; and when one operation has
// many new events for one client, a map of sums of what is queued says for nearly all of them that
// they are not there.

import { HEADER_BYTES, OPERATION } from "./limits.ts";
import type { Outbox } from "./ports.ts";

const MAP_BITS = 1 << 17;
/** Searches in vain before the map is worth making. */
const VAIN_MOST = 8;

/** Bytes of the message at an offset. */
const sizeAt = (bytes: Uint8Array, at: number): number =>
  HEADER_BYTES + (bytes[at + 12]! | (bytes[at + 13]! << 8));

function sumOf(bytes: Uint8Array, at: number, size: number): number {
  let sum = size;
  for (let index = at + HEADER_BYTES; index < at + size; index++) {
    sum = Math.imul(sum ^ bytes[index]!, 0x0100_0193);
  }
  return (sum ^ (sum >>> 15)) & (MAP_BITS - 1);
}

export class QueuedEvents {
  private outbox: Outbox | undefined;
  /** Where the search goes on, from the queue's start. */
  private hint = 0;
  private vain = 0;
  private isMapped = false;
  private readonly map = new Uint8Array(MAP_BITS / 8);

  /** Another operation begins: queues may have been sent from since. */
  forget(): void {
    this.outbox = undefined;
  }

  /** Whether the event that has just been written behind `end` is queued already. */
  has(outbox: Outbox): boolean {
    if (outbox !== this.outbox) {
      this.outbox = outbox;
      this.hint = 0;
      this.vain = 0;
      this.isMapped = false;
    }
    const { bytes, start, end } = outbox;
    const size = sizeAt(bytes, end);
    if (!this.isMapped && this.vain >= VAIN_MOST) this.makeMap(outbox);
    if (this.isMapped && !this.isInMap(bytes, end, size)) return false;
    const from = start + this.hint;
    const found = search(bytes, end, from, end);
    const at = found >= 0 ? found : search(bytes, end, start, from);
    if (at >= 0) {
      this.hint = at + size - start;
      return true;
    }
    this.vain++;
    return false;
  }

  /** The event behind `end` is queued now. */
  add(outbox: Outbox): void {
    if (this.isMapped && outbox === this.outbox) this.mark(outbox.bytes, outbox.end);
  }

  private makeMap({ bytes, start, end }: Outbox): void {
    this.map.fill(0);
    for (let at = start; at < end; at += sizeAt(bytes, at)) this.mark(bytes, at);
    this.isMapped = true;
  }

  private mark(bytes: Uint8Array, at: number): void {
    const bit = sumOf(bytes, at, sizeAt(bytes, at));
    this.map[bit >> 3]! |= 1 << (bit & 7);
  }

  private isInMap(bytes: Uint8Array, at: number, size: number): boolean {
    const bit = sumOf(bytes, at, size);
    return (this.map[bit >> 3]! & (1 << (bit & 7))) !== 0;
  }
}

/** Place of an event like the one at `like`, among the messages from `from` to `to`; -1: none. */
function search(bytes: Uint8Array, like: number, from: number, to: number): number {
  const size = sizeAt(bytes, like);
  for (let at = from; at < to;) {
    const other = sizeAt(bytes, at);
    if (other === size && bytes[at] === OPERATION.WATCH_EVENT) {
      // Tokens differ more often than paths: from the end.
      let index = size - 1;
      while (index >= HEADER_BYTES && bytes[at + index] === bytes[like + index]) index--;
      if (index < HEADER_BYTES) return at;
    }
    at += other;
  }
  return -1;
}
