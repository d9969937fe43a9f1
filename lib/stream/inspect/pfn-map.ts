// What is known of each pfn, in two bytes: the type it was sent with last, how often it was sent,
// and whether its contents were zeros or a repetition. As in pfn-set.ts nothing is sized by a pfn:
// the map is made of 8 KiB pages, made as they are met, and their number is bounded by how many
// pfns were really added. A hostile stream that scatters its pfns fills the map, which says so.
//
//   cell   bits 15..12 type, 11 duplicate, 10 zero, 9..0 times sent (0: never, 1023: or more)

const PAGE_PFNS = 4096;
const IN_PAGE_MASK = PAGE_PFNS - 1;
/** Behind the cells of a page: how many of them, from the first one on, may have been written. */
const USED_AT = PAGE_PFNS;
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

  /**
   * Notes that the pfns `first` to `last` were sent with a type; tells how many had been sent
   * before.
   */
  send(first: number, last: number, type: number): number {
    let again = 0;
    for (let pfn = first; pfn <= last;) {
      const index = Math.floor(pfn / PAGE_PFNS);
      const start = index * PAGE_PFNS;
      const end = Math.min(last, start + PAGE_PFNS - 1);
      if (index === this.lastIndex || this.enter(index)) {
        again += this.sendInPage(pfn - start, end - start, type);
        if (end > this.highest) this.highest = end;
      }
      pfn = end + 1;
    }
    return again;
  }

  /** Cells `from` to `to` of the page at hand. Those from its USED_AT on were never written. */
  private sendInPage(from: number, to: number, type: number): number {
    const cells = this.lastPage;
    const fresh = (type << CELL_TYPE_SHIFT) | 1;
    const used = cells[USED_AT]!;
    if (to >= used) cells[USED_AT] = to + 1;
    if (from >= used) {
      cells.fill(fresh, from, to + 1);
      this.count += to - from + 1;
      return 0;
    }
    let again = 0;
    for (let at = from; at <= to; at++) {
      const times = cells[at]! & CELL_TIMES_MASK;
      if (times > 0) again++;
      const next = times < CELL_TIMES_MASK ? times + 1 : times;
      cells[at] = (type << CELL_TYPE_SHIFT) | next;
    }
    this.count += to - from + 1 - again;
    return again;
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
      page = new Uint16Array(PAGE_PFNS + 1);
      this.pages.set(index, page);
    }
    this.lastIndex = index;
    this.lastPage = page;
    return true;
  }

  /** Runs of pfns with the same cell, in no particular order of their pages. */
  forEachRun(see: (first: number, count: number, cell: number) => void): void {
    for (const [index, cells] of this.pages) {
      const base = index * PAGE_PFNS;
      const used = cells[USED_AT]!;
      let start = 0;
      let cell = cells[0]!;
      for (let at = 1; at < used; at++) {
        const next = cells[at]!;
        if (next === cell) continue;
        if (cell !== 0) see(base + start, at - start, cell);
        start = at;
        cell = next;
      }
      if (cell !== 0) see(base + start, used - start, cell);
    }
  }
}
