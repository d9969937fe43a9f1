// The arena's words, and how an operation is whole in them.
//
// Theory of Operation. Before a word is changed, its place and old value are written to the undo
// log with the tag of the operation; commit() stores the next tag, which makes every entry stale in
// one store. A program that is killed in the middle leaves entries with the current tag: whoever
// adopts the memory applies them backwards and has what was there before the operation. The same
// is done while running when an operation fails half way, so that nothing has to be checked in
// advance that is easier found out on the way.
//
// What makes it right: an entry is complete (its tag is stored last) before the word changes; the
// stores of one thread stand in memory in program order when it is killed; blocks that are freed
// are given back at the commit and not earlier, so that bytes written without the log (into blocks
// that were allocated in this operation) never hit what an undo would need.
//
// An operation that has more to undo than the log can hold is undone, the log is enlarged, and the
// operation runs again from its start (dispatch.ts).

import { assert, hex } from "../base/index.ts";
import { HEADER, HEADER_AREA_BYTES } from "./layout.ts";
import type { StoreMemory } from "./ports.ts";

/** The memory is no arena, of another version, or damaged. */
export class StoreDamagedError extends Error {
  override readonly name = "StoreDamagedError"; // A literal: minifying renames the class itself.
}

/** The undo log is full: the operation is to be undone and run again with a larger one. */
export class LogFullError extends Error {
  override readonly name = "LogFullError";
}

/** The memory cannot grow: the operation is to be undone and answered with ENOMEM. */
export class ArenaFullError extends Error {
  override readonly name = "ArenaFullError";
}

const LOG_FULL = new LogFullError("The undo log is full");
const RANGE_MASK = 1 << 30; // In the first word of an entry: of several words. Words end below.
const GROW_BYTES_MIN = 256 * 1024;
const TWO_32 = 2 ** 32;

export class Arena {
  words: Int32Array;
  bytes: Uint8Array;
  /** Of the operation in flight, or of the next one. */
  tag: number;
  /** Words of the log: where it starts, where the next entry goes, where it ends. */
  logStart: number;
  logAt: number;
  logEnd: number;
  /** Byte offsets of blocks to be freed at the commit. */
  readonly deferred: number[] = [];
  private readonly memory: StoreMemory;

  constructor(memory: StoreMemory) {
    this.memory = memory;
    this.words = new Int32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.tag = this.words[HEADER.tag]!;
    this.logStart = 0;
    this.logAt = 0;
    this.logEnd = 0;
  }

  get lengthBytes(): number {
    return this.bytes.length;
  }

  /** After somebody else has written to the memory, and perhaps made it longer. */
  lookAgain(): void {
    this.words = new Int32Array(this.memory.buffer);
    this.bytes = new Uint8Array(this.memory.buffer);
    this.tag = this.words[HEADER.tag]!;
  }

  /** Takes the log that the header names. */
  useLog(): void {
    const block = this.words[HEADER.logBlock]!;
    this.logStart = (block + 12) >> 2;
    this.logAt = this.logStart;
    this.logEnd = (block + (this.words[block >> 2]! & ~1)) >> 2;
  }

  /** Changes one word; undone if the operation is. */
  set(index: number, value: number): void {
    const words = this.words;
    const at = this.logAt;
    if (at + 6 > this.logEnd) throw LOG_FULL;
    words[at + 5] = 0; // What an older operation left there is no entry of this one.
    words[at] = index;
    words[at + 1] = words[index]!;
    words[at + 2] = this.tag;
    this.logAt = at + 3;
    words[index] = value;
  }

  /** Remembers words that are about to be overwritten otherwise than by set(). */
  save(index: number, count: number): void {
    const words = this.words;
    const at = this.logAt;
    if (at + 6 + count > this.logEnd) throw LOG_FULL;
    words[at + count + 5] = 0;
    words[at] = index | RANGE_MASK;
    words[at + 1] = count;
    words.copyWithin(at + 3, index, index + count);
    words[at + 2] = this.tag;
    this.logAt = at + 3 + count;
  }

  get isChanged(): boolean {
    return this.logAt !== this.logStart;
  }

  /**
   * Makes all that was set since the last one final, in one store. Frees must be done (heap.ts).
   */
  seal(): void {
    const tag = this.tag === 0x7fff_ffff ? 1 : this.tag + 1;
    this.words[HEADER.tag] = tag;
    this.tag = tag;
    this.logAt = this.logStart;
  }

  /** Puts back all that was set since the last commit, also by a program that died in between. */
  undo(): void {
    const words = this.words;
    const entries: number[] = [];
    let at = this.logStart;
    while (at + 3 <= this.logEnd && words[at + 2] === this.tag) {
      const first = words[at]!;
      const count = first & RANGE_MASK ? words[at + 1]! : 0;
      const index = first & ~RANGE_MASK;
      const isWithin = index >= 0 && index + Math.max(count, 1) <= words.length;
      if (!isWithin || count < 0 || at + 3 + count > this.logEnd) {
        throw new StoreDamagedError(`Cannot undo: entry at ${hex(at * 4)} leads outside the arena`);
      }
      entries.push(at);
      at += 3 + count;
    }
    for (let last = entries.length - 1; last >= 0; last--) {
      const entry = entries[last]!;
      const index = words[entry]! & ~RANGE_MASK;
      if (words[entry]! & RANGE_MASK) {
        words.copyWithin(index, entry + 3, entry + 3 + words[entry + 1]!);
      } else {
        words[index] = words[entry + 1]!;
      }
    }
    this.deferred.length = 0;
    this.seal();
  }

  /** Makes the memory at least so long. */
  grow(bytes: number): void {
    if (bytes <= this.bytes.length) return;
    const length = this.bytes.length;
    const wanted = Math.max(bytes, length + Math.max(GROW_BYTES_MIN, length >> 3));
    let buffer: ArrayBuffer;
    try {
      buffer = this.memory.grow(wanted);
    } catch (error) {
      if (!(error instanceof Error)) throw error; // A refusal, whatever its class.
      throw new ArenaFullError("The arena cannot grow", { cause: error });
    }
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  // ---- Numbers of two words ----

  get64(index: number): number {
    return (this.words[index + 1]! >>> 0) * TWO_32 + (this.words[index]! >>> 0);
  }

  set64(index: number, value: number): void {
    const high = Math.floor(value / TWO_32);
    this.set(index, value | 0);
    if (this.words[index + 1] !== high) this.set(index + 1, high | 0);
  }
}

/** Where an arena that is being formatted has to begin: nothing but zeros. */
export function assertEmpty(memory: StoreMemory): void {
  const head = new Uint8Array(
    memory.buffer,
    0,
    Math.min(HEADER_AREA_BYTES, memory.buffer.byteLength),
  );
  assert(
    head.every((byte) => byte === 0),
    "a store is made in fresh memory",
  );
}
