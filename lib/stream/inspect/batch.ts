// The batch at hand: which pfn each page of contents behind its list belongs to.

import { LEGACY_PFN_MASK, LEGACY_TYPE_SHIFT } from "../legacy/index.ts";
import { PAGE_BYTES, PAGE_TYPES, pfnOf, TYPE_SHIFT } from "../libxc/index.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";

const FIRST_PFNS = 1024;
/** In a legacy stream all types below BROKEN have contents, also those that Xen does not define. */
const LEGACY_BARE_TYPE_MIN = 0xd;
/** By type: 1 where pages of it have contents. */
export const HAS_CONTENTS = Uint8Array.from(PAGE_TYPES, ({ hasData }) => (hasData ? 1 : 0));

export interface Entry {
  readonly pfn: number;
  readonly type: number;
  readonly hasContents: boolean;
}

/** The entry at `index` of a part of a list. */
export function entryAt(
  { layer }: Pick<StreamRecord, "layer">,
  { words, wordsPerPfn }: PfnList,
  index: number,
): Entry {
  const low = words[index * wordsPerPfn]!;
  if (layer === "legacy") {
    const type = low >>> LEGACY_TYPE_SHIFT;
    return { pfn: low & LEGACY_PFN_MASK, type, hasContents: type < LEGACY_BARE_TYPE_MIN };
  }
  const high = words[index * 2 + 1]!;
  const type = high >>> TYPE_SHIFT;
  return { pfn: pfnOf(low, high), type, hasContents: PAGE_TYPES[type]!.hasData };
}

export class Batch {
  /** Where the contents begin in the body. */
  contentsAt = 0;
  /** Entries with contents. */
  private count = 0;
  /** No more than the body has room for, whatever the list claims. */
  private pagesMax = 0;
  private pfns = new Float64Array(FIRST_PFNS);

  begin(): void {
    this.count = 0;
  }

  add(record: StreamRecord, list: PfnList): void {
    if (list.firstIndex === 0) {
      const listBytes = list.batchCount * list.wordsPerPfn * 4;
      this.contentsAt = list.fileOffset - record.bodyOffset + listBytes;
      this.pagesMax = Math.floor(Math.max(0, record.bodyBytes - this.contentsAt) / PAGE_BYTES);
      if (this.pagesMax > this.pfns.length) this.pfns = new Float64Array(this.pagesMax);
    }
    if (record.layer === "legacy") this.addLegacy(list);
    else this.addWords(list);
  }

  /** As entryAt, without an object for each entry. */
  private addWords({ words, count }: PfnList): void {
    const { pfns, pagesMax } = this;
    let next = this.count;
    for (let word = 0; word < count * 2 && next < pagesMax; word += 2) {
      const high = words[word + 1]!;
      if (HAS_CONTENTS[high >>> TYPE_SHIFT] === 1) pfns[next++] = pfnOf(words[word]!, high);
    }
    this.count = next;
  }

  private addLegacy(list: PfnList): void {
    for (let index = 0; index < list.count && this.count < this.pagesMax; index++) {
      const { pfn, hasContents } = entryAt({ layer: "legacy" }, list, index);
      if (hasContents) this.pfns[this.count++] = pfn;
    }
  }

  /** The pfn whose contents stand at `bodyAt`; undefined where the list names none. */
  pfnAt(bodyAt: number): number | undefined {
    const index = (bodyAt - this.contentsAt) / PAGE_BYTES;
    return index < this.count ? this.pfns[index] : undefined;
  }
}
