// A set of 64-bit hashes for as many pages as a stream sends: open addressing in 1024 partitions by
// the hash's highest bits. A slot has 8 bytes. At a load of 0.9 a small partition doubles, a large
// one grows by an eighth: together they never take more than 10 bytes a hash, and while one of them
// grows only that one is there twice.

const PARTITION_SHIFT = 22;
const PARTITIONS = 1 << (32 - PARTITION_SHIFT);
const FIRST_SLOTS = 128;
/** 1024 partitions of so many slots are 16 MiB: below, memory matters less than time. */
const LARGE_SLOTS = 2048;
const LOAD_MAX = 0.9;
const IN_PARTITION_MASK = (1 << PARTITION_SHIFT) - 1;
/** The slot is in proportion to the hash, so that growing goes through both in order. */
const SHARE = 1 / (1 << PARTITION_SHIFT);

export class HashSet {
  count = 0;
  /** Slots of two words each, low and high; both zero: free. */
  private readonly partitions: Int32Array[] = [];
  /** Hashes that a partition may still take before it grows. */
  private readonly room = new Int32Array(PARTITIONS);

  constructor() {
    for (let index = 0; index < PARTITIONS; index++) {
      this.partitions.push(new Int32Array(FIRST_SLOTS * 2));
      this.room[index] = Math.floor(FIRST_SLOTS * LOAD_MAX);
    }
  }

  /** What the slots take. */
  get bytes(): number {
    return this.partitions.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Adds a hash given as two signed words; true when it is new. */
  add(low: number, high: number): boolean {
    const index = high >>> PARTITION_SHIFT;
    const slots = this.partitions[index]!;
    if (!insert(slots, (low | high) === 0 ? 1 : low, high)) return false; // Zero means free.
    this.count++;
    if (--this.room[index]! === 0) this.grow(index, slots);
    return true;
  }

  private grow(index: number, old: Int32Array): void {
    const oldSlots = old.length / 2;
    const slots = oldSlots < LARGE_SLOTS ? oldSlots * 2 : Math.floor(oldSlots * 1.125);
    const grown = new Int32Array(slots * 2);
    let used = 0;
    for (let at = 0; at < old.length; at += 2) {
      const low = old[at]!;
      const high = old[at + 1]!;
      if ((low | high) === 0) continue;
      insert(grown, low, high);
      used++;
    }
    this.partitions[index] = grown;
    this.room[index] = Math.floor(slots * LOAD_MAX) - used;
  }
}

/** False where it was there. */
function insert(slots: Int32Array, low: number, high: number): boolean {
  const { length } = slots;
  let at = (((high & IN_PARTITION_MASK) * SHARE * (length >>> 1)) | 0) << 1;
  for (;;) {
    const slotLow = slots[at]!;
    const slotHigh = slots[at + 1]!;
    if ((slotLow | slotHigh) === 0) break;
    if (slotLow === low && slotHigh === high) return false;
    at += 2;
    if (at === length) at = 0;
  }
  slots[at] = low;
  slots[at + 1] = high;
  return true;
}
