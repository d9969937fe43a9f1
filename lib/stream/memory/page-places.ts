// Where the contents of each page stand: the last entry of a pfn decides. One without contents (a
// hole, a page that was given back) takes away what an earlier one said.

import { PageIndex } from "../page-index.ts";

/** No contents stand there: it is inside of a stream's first header. */
const NO_CONTENTS = 1;

export class PagePlaces {
  /** Pages with contents. */
  count = 0;
  /** Highest pfn that has ever had contents. */
  pfnLast = -1;
  readonly index = new PageIndex("u48");

  /** Contents at `offset`; false where there is no room for the pfn. */
  set(pfn: number, offset: number): boolean {
    const isNew = this.get(pfn) === 0;
    if (!this.index.set(pfn, offset)) return false;
    if (isNew) this.count++;
    if (pfn > this.pfnLast) this.pfnLast = pfn;
    return true;
  }

  /** No contents any more. */
  remove(pfn: number): void {
    if (this.get(pfn) === 0) return;
    this.index.set(pfn, NO_CONTENTS);
    this.count--;
  }

  /** The offset of its contents; 0 for a page without. */
  get(pfn: number): number {
    const offset = this.index.get(pfn);
    return offset === NO_CONTENTS ? 0 : offset;
  }

  /** Every page with contents, upwards. */
  forEach(visit: (pfn: number, offset: number) => void): void {
    this.index.forEach((pfn, offset) => {
      if (offset !== NO_CONTENTS) visit(pfn, offset);
    });
  }
}
