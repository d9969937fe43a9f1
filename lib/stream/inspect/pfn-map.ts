// What is known of each pfn, in two bytes: the type it was sent with last, how often it was sent,
// and whether its contents were zeros or a repetition. As in pfn-set.ts nothing is sized by a pfn:
// the map is made of 8 KiB pages, made as they are met, and their number is bounded by how many
// pfns were really added. A hostile stream that scatters its pfns fills the map, which says so.
//
//   cell   bits 15..12 type, 11 duplicate, 10 zero, 9..0 times sent (0: never, 1023: or more)

const PAGE_SHIFT = 12;
const PAGE_PFNS = 1 << PAGE_SHIFT;
const IN_PAGE_MASK = PAGE_PFNS - 1;
/** 8 MiB of pages for sparse maps; beyond them one page per PAGE_PFNS pfns added: 2 bytes a pfn. */
const SPARE_PAGES = 1024;

export const CELL_TYPE_SHIFT = 12;
export const CELL_DUPLICATE_MASK = 1 << 11;
export const CELL_ZERO_MASK = 1 << 10;
export const CELL_TIMES_MASK = 0x3ff;

export class PfnMap {
  /** Distinct pfns. */
  count = 0;
  /** A pfn found no room: `count` and the cells are no longer the whole truth. */
  isFull = false;
  highest = -1;
  private readonly pages = new Map<number, Uint16Array>();
  private lastIndex = -1;
  private lastPage: Uint16Array = new Uint16Array(0);

  /** Notes that a pfn was sent; true when it had been sent before. */
  send(pfn: number, type: number): boolean {
    const index = pfn < 2 ** 31 ? pfn >>> PAGE_SHIFT : Math.floor(pfn / PAGE_PFNS);
    if (index !== this.lastIndex && !this.enter(index)) return false;
    const at = pfn & IN_PAGE_MASK; // The lowest bits are right above 2^31 too.
    const times = this.lastPage[at]! & CELL_TIMES_MASK;
    const next = times < CELL_TIMES_MASK ? times + 1 : times;
    this.lastPage[at] = (type << CELL_TYPE_SHIFT) | next;
    if (times > 0) return true;
    this.count++;
    if (pfn > this.highest) this.highest = pfn;
    return false;
  }

  /** Sets CELL_ZERO_MASK or CELL_DUPLICATE_MASK for a pfn that has been sent. */
  mark(pfn: number, mask: number): void {
    const index = Math.floor(pfn / PAGE_PFNS);
    if (index !== this.lastIndex && !this.enter(index)) return;
    this.lastPage[pfn & IN_PAGE_MASK]! |= mask;
  }

  /** Makes the page of `index` the one at hand; false when there is no room for it. */
  private enter(index: number): boolean {
    let page = this.pages.get(index);
    if (page === undefined) {
      if (this.pages.size >= SPARE_PAGES + this.count / PAGE_PFNS) {
        this.isFull = true;
        return false;
      }
      page = new Uint16Array(PAGE_PFNS);
      this.pages.set(index, page);
    }
    this.lastIndex = index;
    this.lastPage = page;
    return true;
  }

  /** The pages in no particular order: the pfn of the first cell, and the cells. */
  forEachPage(see: (firstPfn: number, cells: Uint16Array) => void): void {
    for (const [index, page] of this.pages) see(index * PAGE_PFNS, page);
  }
}
