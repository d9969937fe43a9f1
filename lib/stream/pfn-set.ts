// A set of pfns at about one bit each. HVM pfns reach 2^52 and a stream may claim any, so nothing
// is sized by a pfn: the set is made of 4 KiB pages of bits, made as they are met, and their number
// is bounded by how many pfns were really added. A hostile stream that scatters its pfns fills the
// set, which then says so.

const PAGE_SHIFT = 15;
const PAGE_PFNS = 2 ** PAGE_SHIFT;
const PAGE_WORDS = PAGE_PFNS / 32;
const IN_PAGE_MASK = PAGE_PFNS - 1;
/**
 * 16 MiB of pages for sparse maps; beyond them one page per PAGE_PFNS pfns added: one bit a pfn.
 */
const SPARE_PAGES = 4096;

const ALL_BITS = 0xffff_ffff;

export interface PfnSetState {
  readonly count: number;
  readonly isFull: boolean;
  /** Each page's number and its bits, in base64. */
  readonly pages: readonly (readonly [number, string])[];
}

export class PfnSet {
  /** Distinct pfns. */
  count = 0;
  /** A pfn found no room: `count` and the ranges are no longer the whole truth. */
  isFull = false;
  private readonly pages = new Map<number, Uint32Array>();
  private lastIndex = -1;
  private lastPage: Uint32Array = new Uint32Array(0);

  /** Adds a pfn; true when it is new, false when it was there or the set is full. */
  add(pfn: number): boolean {
    const index = Math.floor(pfn / PAGE_PFNS);
    if (index !== this.lastIndex && !this.enter(index)) return false;
    const at = (pfn % PAGE_PFNS) & IN_PAGE_MASK;
    const word = at >>> 5;
    const bit = 1 << (at & 31);
    const old = this.lastPage[word]!;
    if ((old & bit) !== 0) return false;
    this.lastPage[word] = old | bit;
    this.count++;
    return true;
  }

  /** Adds `first` to `last`, both included, a word of bits at a time. */
  addRange(first: number, last: number): void {
    for (let pfn = first; pfn <= last;) {
      const index = Math.floor(pfn / PAGE_PFNS);
      const pageLast = Math.min(last, (index + 1) * PAGE_PFNS - 1);
      if (index === this.lastIndex || this.enter(index)) {
        this.setBits(pfn - index * PAGE_PFNS, pageLast - index * PAGE_PFNS);
      }
      pfn = pageLast + 1;
    }
  }

  /** Sets bits `from` to `to` of the page at hand. */
  private setBits(from: number, to: number): void {
    const [firstWord, lastWord] = [from >>> 5, to >>> 5];
    const firstMask = -1 << (from & 31);
    const lastMask = -1 >>> (31 - (to & 31));
    if (firstWord === lastWord) return this.setWord(firstWord, firstMask & lastMask);
    this.setWord(firstWord, firstMask);
    for (let word = firstWord + 1; word < lastWord; word++) {
      const old = this.lastPage[word]!;
      if (old === 0)
        this.count += 32; // So it is nearly always: a guest is sent upwards.
      else this.count += 32 - bitCount(old);
      this.lastPage[word] = ALL_BITS;
    }
    this.setWord(lastWord, lastMask);
  }

  private setWord(word: number, mask: number): void {
    const old = this.lastPage[word]!;
    this.lastPage[word] = old | mask;
    this.count += bitCount(mask & ~old);
  }

  /** Makes the page of `index` the one at hand; false when there is no room for it. */
  private enter(index: number): boolean {
    let page = this.pages.get(index);
    if (page === undefined) {
      if (this.pages.size >= SPARE_PAGES + this.count / PAGE_PFNS) {
        this.isFull = true;
        return false;
      }
      page = new Uint32Array(PAGE_WORDS);
      this.pages.set(index, page);
    }
    this.lastIndex = index;
    this.lastPage = page;
    return true;
  }

  /** First run of pfns in 0..`last` that is not in the set, or undefined. */
  firstGap(last: number): { readonly first: number; readonly last: number } | undefined {
    let first: number | undefined;
    let next = 0; // The pfn behind the last page looked at.
    for (const index of [...this.pages.keys()].sort((left, right) => left - right)) {
      const page = this.pages.get(index)!; // A key of this very map.
      const base = index * PAGE_PFNS;
      if (first === undefined && base > next) first = next;
      let from = 0;
      if (first === undefined) {
        from = findBit(page, { from: 0, value: false });
        if (from < PAGE_PFNS) first = base + from;
      }
      next = base + PAGE_PFNS;
      if (first === undefined) continue;
      const end = findBit(page, { from, value: true });
      if (end < PAGE_PFNS) return gap(first, Math.min(base + end - 1, last));
    }
    return gap(first ?? next, last);
  }

  get state(): PfnSetState {
    const pages = [...this.pages].map(([index, page]): [number, string] => [
      index,
      Buffer.from(page.buffer, page.byteOffset, page.byteLength).toString("base64"),
    ]);
    return { count: this.count, isFull: this.isFull, pages };
  }

  /** As another set was. */
  restore({ count, isFull, pages }: PfnSetState): void {
    this.clear();
    for (const [index, text] of pages) {
      const page = new Uint32Array(PAGE_WORDS);
      new Uint8Array(page.buffer).set(Buffer.from(text, "base64").subarray(0, PAGE_WORDS * 4));
      this.pages.set(index, page);
    }
    this.count = count;
    this.isFull = isFull;
  }

  clear(): void {
    this.pages.clear();
    this.count = 0;
    this.isFull = false;
    this.lastIndex = -1;
  }
}

function bitCount(word: number): number {
  let count = 0;
  for (let left = word; left !== 0; left &= left - 1) count++;
  return count;
}

const gap = (first: number, last: number) => (first <= last ? { first, last } : undefined);

/** The first bit from `from` on that is `value`, or PAGE_PFNS. */
function findBit(
  page: Uint32Array,
  { from, value }: { readonly from: number; readonly value: boolean },
): number {
  const other = value ? 0 : 0xffff_ffff;
  let at = from;
  while (at < PAGE_PFNS) {
    const word = page[at >>> 5]!;
    if (at % 32 === 0 && word === other) at += 32;
    else if (((word & (1 << (at & 31))) !== 0) === value) return at;
    else at++;
  }
  return PAGE_PFNS;
}
