// Pages that a packer has met: hash to where the page stands, in the original and in a frame. Open
// addressing, 24 bytes a page, at most KNOWN_PAGES_MAX of them (4 GiB of different pages): what
// comes later is still compared with these.

const FIRST_SLOTS = 4096;
export const KNOWN_PAGES_MAX = 2 ** 20;
const LOAD_MAX = 0.5;

export interface KnownPage {
  readonly originalOffset: number;
  readonly frame: number;
  /** Offset in the literals of that frame. */
  readonly at: number;
}

export class KnownPages {
  private slots = FIRST_SLOTS;
  private count = 0;
  private hashes = new BigUint64Array(FIRST_SLOTS);
  private originals = new Float64Array(FIRST_SLOTS);
  private frames = new Uint32Array(FIRST_SLOTS);
  private ats = new Uint32Array(FIRST_SLOTS);

  find(hash: bigint): KnownPage | undefined {
    const slot = this.slotOf(hash);
    if (this.hashes[slot] === 0n) return undefined;
    return {
      originalOffset: this.originals[slot]!,
      frame: this.frames[slot]!,
      at: this.ats[slot]!,
    };
  }

  /** Remembers a page whose hash is new; hash 0 and pages beyond the limit are let go. */
  add(hash: bigint, { originalOffset, frame, at }: KnownPage): void {
    if (hash === 0n || this.count >= KNOWN_PAGES_MAX) return;
    if (this.count >= this.slots * LOAD_MAX) this.grow();
    const slot = this.slotOf(hash);
    if (this.hashes[slot] === 0n) this.count++;
    this.hashes[slot] = hash;
    this.originals[slot] = originalOffset;
    this.frames[slot] = frame;
    this.ats[slot] = at;
  }

  private slotOf(hash: bigint): number {
    let slot = Number(hash & 0xffff_ffffn) % this.slots;
    while (this.hashes[slot] !== 0n && this.hashes[slot] !== hash) slot = (slot + 1) % this.slots;
    return slot;
  }

  private grow(): void {
    const { hashes, originals, frames, ats } = this;
    const old = this.slots;
    this.slots = old * 2;
    this.count = 0;
    this.hashes = new BigUint64Array(this.slots);
    this.originals = new Float64Array(this.slots);
    this.frames = new Uint32Array(this.slots);
    this.ats = new Uint32Array(this.slots);
    for (let slot = 0; slot < old; slot++) {
      const page = { originalOffset: originals[slot]!, frame: frames[slot]!, at: ats[slot]! };
      this.add(hashes[slot]!, page);
    }
  }
}
