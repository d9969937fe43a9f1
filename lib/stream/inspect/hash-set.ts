// A set of 64-bit hashes for as many pages as a stream sends: open addressing in 1024 partitions by
// the hash's highest bits. A slot has 8 bytes. At a load of 0.9 a small partition doubles, a large
// one grows by an eighth: together they never take more than 10 bytes a hash, and while one of them
// grows only that one is there twice.

const PARTITION_SHIFT = 22;
const PARTITIONS = 1 << (32 - PARTITION_SHIFT);
const FIRST_SLOTS = 32;
/** 1024 partitions of so many slots are 16 MiB: below, memory matters less than time. */
const LARGE_SLOTS = 2048;
const LOAD_MAX = 0.9;
const IN_PARTITION_MASK = (1 << PARTITION_SHIFT) - 1;

export class HashSet {
  count = 0;
  /** Slots of two words each, low and high; both zero: free. */
  private readonly partitions: Uint32Array[] = [];
  private readonly used = new Uint32Array(PARTITIONS);

  constructor() {
    for (let index = 0; index < PARTITIONS; index++) {
      this.partitions.push(new Uint32Array(FIRST_SLOTS * 2));
    }
  }

  /** Adds a hash given as two words; true when it is new. */
  add(low: number, high: number): boolean {
    const index = high >>> PARTITION_SHIFT;
    const first = low === 0 && high === 0 ? 1 : low; // Zero means free.
    let slots = this.partitions[index]!;
    if (this.used[index]! * 2 >= slots.length * LOAD_MAX) slots = this.grow(index);
    if (!insert(slots, first, high)) return false;
    this.used[index]!++;
    this.count++;
    return true;
  }

  private grow(index: number): Uint32Array {
    const old = this.partitions[index]!;
    const oldSlots = old.length / 2;
    const slots = oldSlots < LARGE_SLOTS ? oldSlots * 2 : Math.floor(oldSlots * 1.125);
    const grown = new Uint32Array(slots * 2);
    for (let at = 0; at < old.length; at += 2) {
      const low = old[at]!;
      const high = old[at + 1]!;
      if (low !== 0 || high !== 0) insert(grown, low, high);
    }
    this.partitions[index] = grown;
    return grown;
  }
}

/** False where it was there. The slot is in proportion to the hash, so that growing keeps order. */
function insert(slots: Uint32Array, low: number, high: number): boolean {
  const share = (high & IN_PARTITION_MASK) / (1 << PARTITION_SHIFT);
  let at = Math.floor(share * (slots.length / 2)) * 2;
  for (;;) {
    const slotLow = slots[at]!;
    const slotHigh = slots[at + 1]!;
    if (slotLow === 0 && slotHigh === 0) break;
    if (slotLow === low && slotHigh === high) return false;
    at += 2;
    if (at === slots.length) at = 0;
  }
  slots[at] = low;
  slots[at + 1] = high;
  return true;
}
