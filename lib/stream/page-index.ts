// From a pfn to one number: where its last version stands, or which entry of the stream it was. The
// number 0 says that the pfn was never met.
//
// HVM pfns reach 2^52 and a stream may claim any, so nothing is sized by a pfn: the index is made
// of pages for PAGE_PFNS pfns each, made as they are met, and how many there may be follows from
// how many pfns were really put in. A guest's pfns are a few long runs, so that a pfn costs its
// number's width (4 or 6 bytes) and little more. A hostile stream that scatters its pfns fills the
// index, which then says so.

import { assert } from "../base/index.ts";

export const PAGE_PFNS = 1024;
/** 8 or 12 MiB for sparse maps; beyond them a page for each PAGE_PFNS pfns put in. */
export const SPARE_PAGES = 2048;
const WORD = 2 ** 32;

/** How wide the numbers are: below 2^32 or below 2^48. */
export type IndexWidth = "u32" | "u48";

interface IndexPage {
  readonly low: Uint32Array;
  /** The upper 16 bits; empty for "u32". */
  readonly high: Uint16Array;
}

const NO_HIGH = new Uint16Array(0);
const NO_PAGE: IndexPage = { low: new Uint32Array(0), high: NO_HIGH };

export class PageIndex {
  /** Distinct pfns. */
  count = 0;
  private readonly isWide: boolean;
  private readonly valueMax: number;
  private readonly pages = new Map<number, IndexPage>();
  private lastIndex = -1;
  private lastPage = NO_PAGE;

  constructor(width: IndexWidth) {
    this.isWide = width === "u48";
    this.valueMax = this.isWide ? 2 ** 48 - 1 : WORD - 1;
  }

  /** Puts a number in; false when the index is full: what it holds is not the whole truth then. */
  set(pfn: number, value: number): boolean {
    const index = Math.floor(pfn / PAGE_PFNS);
    if (index !== this.lastIndex && !this.enter(index)) return false;
    if (value < 1 || value > this.valueMax) return this.refuse();
    const at = pfn - index * PAGE_PFNS;
    const { low, high } = this.lastPage;
    if (this.isWide) {
      if (low[at] === 0 && high[at] === 0) this.count++;
      high[at] = value / WORD;
    } else if (low[at] === 0) this.count++;
    low[at] = value; // Modulo 2^32, as every store into such an array is.
    return true;
  }

  private refuse(): never {
    assert(false, `an index holds numbers from 1 to ${this.valueMax}`);
  }

  /** The pfn's number; 0 where it was never met. */
  get(pfn: number): number {
    const index = Math.floor(pfn / PAGE_PFNS);
    if (index !== this.lastIndex) {
      const page = this.pages.get(index);
      if (page === undefined) return 0;
      this.lastIndex = index;
      this.lastPage = page;
    }
    return this.at(this.lastPage, pfn - index * PAGE_PFNS);
  }

  private at({ low, high }: IndexPage, at: number): number {
    return this.isWide ? high[at]! * WORD + low[at]! : low[at]!;
  }

  /** Every pfn with its number, upwards. A call each: a list or a generator would be garbage. */
  forEach(visit: (pfn: number, value: number) => void): void {
    for (const index of [...this.pages.keys()].sort((left, right) => left - right)) {
      const page = this.pages.get(index)!; // A key of this very map.
      for (let at = 0; at < PAGE_PFNS; at++) {
        const value = this.at(page, at);
        if (value !== 0) visit(index * PAGE_PFNS + at, value);
      }
    }
  }

  /** Makes the page of `index` the one at hand; false when there is no room for it. */
  private enter(index: number): boolean {
    let page = this.pages.get(index);
    if (page === undefined) {
      if (this.pages.size >= SPARE_PAGES + this.count / PAGE_PFNS) return false;
      page = {
        low: new Uint32Array(PAGE_PFNS),
        high: this.isWide ? new Uint16Array(PAGE_PFNS) : NO_HIGH,
      };
      this.pages.set(index, page);
    }
    this.lastIndex = index;
    this.lastPage = page;
    return true;
  }
}
