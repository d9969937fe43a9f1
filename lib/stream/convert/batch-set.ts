// The entries of one batch, to see none twice: an open hash over two arrays that are emptied by
// counting on, since this runs for every page of a guest.

import { LEGACY_BATCH_PFNS_MAX } from "../legacy/index.ts";

const SLOTS = 4 * LEGACY_BATCH_PFNS_MAX;
const SLOT_MASK = SLOTS - 1;
const SPREAD = 0x9e37_79b1; // 2^32 divided by the golden ratio: neighbours go far apart.
const SLOT_SHIFT = 32 - Math.log2(SLOTS);

export class BatchSet {
  private readonly entries = new Uint32Array(SLOTS);
  private readonly rounds = new Uint32Array(SLOTS);
  private round = 0;

  /** Begins with nothing in it. */
  clear(): void {
    this.round++;
  }

  /** False when the entry is there already. At most LEGACY_BATCH_PFNS_MAX a round. */
  add(entry: number): boolean {
    let slot = Math.imul(entry, SPREAD) >>> SLOT_SHIFT;
    while (this.rounds[slot] === this.round) {
      if (this.entries[slot] === entry) return false;
      slot = (slot + 1) & SLOT_MASK;
    }
    this.rounds[slot] = this.round;
    this.entries[slot] = entry;
    return true;
  }
}
