// What was sent of the guest's memory: entries by type, what each pfn was sent with last and how
// often, and the whole of it as a map of at most 1024 bins.

import { LEGACY_PFN_MASK, LEGACY_TYPE_SHIFT } from "../legacy/index.ts";
import { PAGE_TYPES, pfnOf, TYPE_SHIFT } from "../libxc/index.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";
import { HAS_CONTENTS } from "./batch.ts";
import {
  CELL_DUPLICATE_MASK,
  CELL_TIMES_MASK,
  CELL_TYPE_SHIFT,
  CELL_ZERO_MASK,
  PfnMap,
} from "./pfn-map.ts";
import type { InspectMemory, InspectMemoryMap } from "./report.ts";

const BINS_MAX = 1024;
/** XTAB with pfn 0: a legacy saver's mark for a run that could not be mapped. Not an entry. */
export const LEGACY_UNMAPPED_ENTRY = 0xf000_0000;

/** What a part of a batch's list held. */
export interface PartCounts {
  entries: number;
  withContents: number;
  sentBefore: number;
  /** undefined: no entry at all. */
  firstPfn: number | undefined;
  lastPfn: number;
  lowest: number;
  highest: number;
}

/** Upper bounds of the classes of how often a pfn was sent. */
const TIMES_CLASSES: readonly (number | null)[] = [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, null];

const isPopulated = (type: number): boolean => PAGE_TYPES[type]!.hasData || type === 0xe;

export class Memory {
  readonly map = new PfnMap();
  private readonly sentByType = new Float64Array(16);
  private sent = 0;
  private withContents = 0;
  private sentBefore = 0;

  /** Notes the entries of (a part of) a batch. The hot path of inspect. */
  add(record: StreamRecord, { words, wordsPerPfn, count }: PfnList): PartCounts {
    const { map, sentByType } = this;
    const isLegacy = record.layer === "legacy";
    const part: PartCounts = newPart();
    // Real batches are a few runs of pfns of one type: an entry costs two comparisons.
    for (let index = 0; index < count;) {
      const low = words[index * wordsPerPfn]!;
      if (isLegacy && low === LEGACY_UNMAPPED_ENTRY) {
        index++;
        continue;
      }
      const high = isLegacy ? 0 : words[index * 2 + 1]!;
      const type = isLegacy ? low >>> LEGACY_TYPE_SHIFT : high >>> TYPE_SHIFT;
      const pfn = isLegacy ? low & LEGACY_PFN_MASK : pfnOf(low, high);
      let length = 1;
      while (
        index + length < count &&
        words[(index + length) * wordsPerPfn] === low + length &&
        (isLegacy || words[(index + length) * 2 + 1] === high)
      ) {
        length++;
      }
      index += length;
      sentByType[type]! += length;
      part.entries += length;
      if (HAS_CONTENTS[type] === 1) part.withContents += length;
      part.sentBefore += map.send(pfn, pfn + length - 1, type);
      part.firstPfn ??= pfn;
      part.lastPfn = pfn + length - 1;
      if (pfn < part.lowest) part.lowest = pfn;
      if (part.lastPfn > part.highest) part.highest = part.lastPfn;
    }
    this.sent += part.entries;
    this.withContents += part.withContents;
    this.sentBefore += part.sentBefore;
    return part;
  }

  /** `hasContents`: zero and duplicate pages were looked for. */
  report({ hasContents }: { readonly hasContents: boolean }): InspectMemory {
    const { map } = this;
    const pfnsByType = new Float64Array(16);
    const byTimes = new Float64Array(CELL_TIMES_MASK + 1);
    map.forEachRun((_, pfns, cell) => {
      pfnsByType[cell >>> CELL_TYPE_SHIFT]! += pfns;
      byTimes[cell & CELL_TIMES_MASK]! += pfns;
    });
    const known = !map.isFull;
    const populated = pfnsByType.reduce((sum, pfns, type) => {
      return isPopulated(type) ? sum + pfns : sum;
    }, 0);
    return {
      sent: this.sent,
      with_contents: this.withContents,
      sent_again: this.sentBefore,
      pfns: known ? map.count : null,
      highest_pfn: map.highest < 0 ? null : map.highest,
      populated_pfns: known ? populated : null,
      types: PAGE_TYPES.map(({ name, hasData }, type) => ({
        type,
        name,
        has_contents: hasData,
        sent: this.sentByType[type]!,
        pfns: known ? pfnsByType[type]! : null,
      })).filter(({ sent }) => sent > 0),
      times_sent: timesClasses(byTimes),
      map: known && map.highest >= 0 ? mapOf(map, hasContents) : null,
    };
  }
}

const newPart = (): PartCounts => ({
  entries: 0,
  withContents: 0,
  sentBefore: 0,
  firstPfn: undefined,
  lastPfn: 0,
  lowest: Number.MAX_SAFE_INTEGER,
  highest: 0,
});

function timesClasses(byTimes: Float64Array): InspectMemory["times_sent"] {
  let least = 1;
  return TIMES_CLASSES.map((most) => {
    let pfns = 0;
    for (let times = least; times <= (most ?? CELL_TIMES_MASK); times++) pfns += byTimes[times]!;
    const row = { least, most, pfns };
    least = (most ?? 0) + 1;
    return row;
  }).filter(({ pfns }) => pfns > 0);
}

type PageClass = "normal" | "page_table" | "allocated" | "hole" | "broken" | "unknown";

/** Which list of the map counts a type. */
const classOf = (type: number): PageClass => {
  const { known, tableLevel, hasData } = PAGE_TYPES[type]!;
  if (!known) return "unknown";
  if (hasData) return tableLevel > 0 ? "page_table" : "normal";
  return type === 0xd ? "broken" : type === 0xe ? "allocated" : "hole";
};

function mapOf(map: PfnMap, hasContents: boolean): InspectMemoryMap {
  const pfnsPerBin = Math.ceil((map.highest + 1) / BINS_MAX);
  const bins = Math.ceil((map.highest + 1) / pfnsPerBin);
  const list = (): Float64Array => new Float64Array(bins);
  const byClass = {
    normal: list(),
    page_table: list(),
    allocated: list(),
    hole: list(),
    broken: list(),
    unknown: list(),
  };
  const byType = PAGE_TYPES.map((_, type) => byClass[classOf(type)]);
  const [again, sends, zero, duplicate] = [list(), list(), list(), list()];
  map.forEachRun((first, count, cell) => {
    const times = cell & CELL_TIMES_MASK;
    const own = byType[cell >>> CELL_TYPE_SHIFT]!;
    for (let pfn = first; pfn < first + count;) {
      const bin = Math.floor(pfn / pfnsPerBin);
      const pfns = Math.min(first + count, (bin + 1) * pfnsPerBin) - pfn;
      own[bin]! += pfns;
      sends[bin]! += pfns * times;
      if (times > 1) again[bin]! += pfns;
      if ((cell & CELL_ZERO_MASK) !== 0) zero[bin]! += pfns;
      if ((cell & CELL_DUPLICATE_MASK) !== 0) duplicate[bin]! += pfns;
      pfn += pfns;
    }
  });
  return {
    pfns_per_bin: pfnsPerBin,
    bins,
    normal: [...byClass.normal],
    page_table: [...byClass.page_table],
    allocated: [...byClass.allocated],
    hole: [...byClass.hole],
    broken: [...byClass.broken],
    unknown: [...byClass.unknown],
    sent_again: [...again],
    sends: [...sends],
    zero: hasContents ? [...zero] : null,
    duplicate: hasContents ? [...duplicate] : null,
  };
}
