// Events that an operation causes. They are put aside while it works and queued for their
// connections when it is final: an operation that is undone and run again sends none twice.

import { copyBytes } from "./bytes-copy.ts";
import { HEADER_BYTES, OPERATION, PAYLOAD_BYTES_MAX } from "./limits.ts";
import type { Outbox } from "./ports.ts";
import { QueuedEvents } from "./queued-events.ts";

const ITEM_WORDS = 3;
const AT_SIGN = 64;

export class EventQueue {
  /** Rows of watches, with place and length of the path in `paths`. */
  private items = new Int32Array(256 * ITEM_WORDS);
  private paths = new Uint8Array(16 * 1024);
  private readonly queued = new QueuedEvents();
  private itemsEnd = 0;
  private pathsEnd = 0;
  private lastPath = 0;
  private lastLength = 0;

  get count(): number {
    return this.itemsEnd / ITEM_WORDS;
  }

  clear(): void {
    this.queued.forget();
    this.itemsEnd = 0;
    this.pathsEnd = 0;
  }

  /** The path of the events that add() is called for next. */
  setPath(bytes: Uint8Array, length: number): void {
    if (this.pathsEnd + length > this.paths.length) {
      const larger = new Uint8Array((this.pathsEnd + length) * 2);
      larger.set(this.paths.subarray(0, this.pathsEnd));
      this.paths = larger;
    }
    copyBytes(this.paths, this.pathsEnd, bytes, 0, length);
    this.lastPath = this.pathsEnd;
    this.lastLength = length;
    this.pathsEnd += length;
  }

  add(watch: number): void {
    if (this.itemsEnd + ITEM_WORDS > this.items.length) {
      const larger = new Int32Array(this.items.length * 2);
      larger.set(this.items);
      this.items = larger;
    }
    this.items[this.itemsEnd] = watch;
    this.items[this.itemsEnd + 1] = this.lastPath;
    this.items[this.itemsEnd + 2] = this.lastLength;
    this.itemsEnd += ITEM_WORDS;
  }

  watchOf(index: number): number {
    return this.items[index * ITEM_WORDS]!;
  }

  /**
   * Queues one event: the path less its first `skip` bytes, and a token that stands in `source`.
   * One that is too long is dropped; so is one that is queued already, unless it is special.
   */
  send(
    index: number,
    skip: number,
    outbox: Outbox,
    source: Uint8Array,
    at: number,
    tokenBytes: number,
  ): void {
    const from = this.items[index * ITEM_WORDS + 1]! + skip;
    const pathBytes = this.items[index * ITEM_WORDS + 2]! - skip;
    const length = pathBytes + tokenBytes + 2;
    if (length > PAYLOAD_BYTES_MAX || !outbox.reserve(HEADER_BYTES + length)) return;
    const { bytes, end } = outbox;
    writeHead(bytes, end, OPERATION.WATCH_EVENT, 0, 0, length);
    const payload = end + HEADER_BYTES;
    copyBytes(bytes, payload, this.paths, from, pathBytes);
    bytes[payload + pathBytes] = 0;
    copyBytes(bytes, payload + pathBytes + 1, source, at, tokenBytes);
    bytes[payload + length - 1] = 0;
    const isSpecial = this.paths[from] === AT_SIGN;
    if (!isSpecial && outbox.start !== end && this.queued.has(outbox)) return;
    this.queued.add(outbox);
    outbox.end = end + HEADER_BYTES + length;
  }
}

/** Writes a message's header. */
export function writeHead(
  bytes: Uint8Array,
  at: number,
  type: number,
  requestId: number,
  transactionId: number,
  length: number,
): void {
  bytes[at] = type;
  bytes[at + 1] = type >> 8;
  bytes[at + 2] = type >> 16;
  bytes[at + 3] = type >> 24;
  bytes[at + 4] = requestId;
  bytes[at + 5] = requestId >> 8;
  bytes[at + 6] = requestId >> 16;
  bytes[at + 7] = requestId >> 24;
  bytes[at + 8] = transactionId;
  bytes[at + 9] = transactionId >> 8;
  bytes[at + 10] = transactionId >> 16;
  bytes[at + 11] = transactionId >> 24;
  bytes[at + 12] = length;
  bytes[at + 13] = length >> 8;
  bytes[at + 14] = 0;
  bytes[at + 15] = 0;
}
