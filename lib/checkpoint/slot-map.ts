// Which slots of a page file are taken. Slots that no restore point needs are given out again, in
// upward order, so that pages that arrive together stand together where there is room; the file
// grows only when none is free. So it holds at most what the kept restore points and the round on
// its way need at once.

import { assert } from "../base/index.ts";

/** Values of an index by pfn: a page without contents, or this and the slot; 0 is for no page. */
export const NO_CONTENTS = 1;
export const FIRST_SLOT_VALUE = 2;

const FIRST_WORDS = 1024;
const ALL_BITS = 0xffff_ffff;
/** 16 TiB of pages; the index holds numbers below 2^32. */
const SLOTS_MAX = 2 ** 32 - 16;

export class SlotMap {
  /** Size of the file in slots. */
  size = 0;
  taken = 0;
  private used = new Uint32Array(FIRST_WORDS);
  /** Taken since the last commit: nothing that is committed needs them. */
  private fresh = new Uint32Array(FIRST_WORDS);
  private cursor = 0;

  /** Takes a free slot. */
  take(): number {
    const slot = this.taken === this.size ? this.grow() : this.nextFree();
    const [word, bit] = [slot >>> 5, 1 << (slot & 31)];
    this.used[word]! |= bit;
    this.fresh[word]! |= bit;
    this.taken++;
    this.cursor = slot + 1;
    return slot;
  }

  private grow(): number {
    assert(this.size < SLOTS_MAX, "a page file has room for a guest");
    const slot = this.size++;
    const words = (slot >>> 5) + 1;
    if (words > this.used.length) {
      this.used = grown(this.used);
      this.fresh = grown(this.fresh);
    }
    return slot;
  }

  /** The first free one from the cursor on, around the end; there is one. */
  private nextFree(): number {
    if (this.cursor >= this.size) this.cursor = 0;
    let word = this.cursor >>> 5;
    const before = (1 << (this.cursor & 31)) - 1;
    let free = ~(this.used[word]! | before) >>> 0;
    const words = (this.size + 31) >>> 5;
    for (;;) {
      if (free !== 0) {
        const slot = word * 32 + (31 - Math.clz32(free & -free));
        if (slot < this.size) return slot;
      }
      word = word + 1 === words ? 0 : word + 1;
      while (this.used[word] === ALL_BITS) word = word + 1 === words ? 0 : word + 1;
      free = ~this.used[word]! >>> 0;
    }
  }

  isFresh(slot: number): boolean {
    return (this.fresh[slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }

  isTaken(slot: number): boolean {
    return slot < this.size && (this.used[slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }

  free(slot: number): void {
    const [word, bit] = [slot >>> 5, 1 << (slot & 31)];
    assert((this.used[word]! & bit) !== 0, "a slot is freed once");
    this.used[word]! &= ~bit;
    this.fresh[word]! &= ~bit;
    this.taken--;
  }

  /** What was taken is committed. */
  settle(): void {
    this.fresh.fill(0);
  }

  /** Makes the file at least so many slots long; what is added is free. */
  extendTo(size: number): void {
    while (this.size < size) this.grow();
  }

  /** While the map is made anew from a journal. */
  adopt(slot: number): void {
    this.extendTo(slot + 1);
    const [word, bit] = [slot >>> 5, 1 << (slot & 31)];
    if ((this.used[word]! & bit) !== 0) return;
    this.used[word]! |= bit;
    this.taken++;
  }
}

function grown(words: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(words.length * 2);
  larger.set(words);
  return larger;
}
