// Checks of PAGE_DATA batches: types, reserved bits, bounds, the size that the types add up to,
// pfns twice in one batch, and whether every pfn of the guest was sent at all. The loop over the
// entries is the hot path of the whole program: 2 GiB of guest are half a million entries.

import { hex, plural } from "../../base/index.ts";
import {
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PAGE_TYPES,
  type PageType,
  pfnOf,
  RESERVED_HIGH_MASK,
  TYPE_SHIFT,
} from "../libxc/index.ts";
import { type Place, sizeOf } from "../../bytes/index.ts";
import { PfnSet, type PfnSetState } from "../pfn-set.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";
import type { FindingLog, What } from "./finding-log.ts";

const HEAD_BYTES = sizeOf(PAGE_DATA_HEAD);
const PFN_BYTES = 8;
/**
 * x86 physical addresses have at most 52 bits: libxc could not allocate what a larger pfn needs.
 */
export const HVM_PFN_MAX = 2 ** 40 - 1;
/**
 * The lowest 28 bits of the high word: the pfn's upper bits and the reserved ones, 0 in real
 * guests.
 */
const HIGH_REST_MASK = 0x0fff_ffff;

/**
 * What kinds of bad entries a batch had: the first of each is reported with how many there were.
 */
interface Kind {
  readonly severity: "error" | "warn" | "warnStrict";
  readonly expected: string;
}
const KINDS = {
  type: { severity: "error", expected: "a page type that Xen defines" },
  reserved: { severity: "warnStrict", expected: "reserved bits 59..52 clear" },
  bounds: { severity: "error", expected: "a pfn within the guest" },
  table: { severity: "warn", expected: "a page-table type only where the guest has such tables" },
  twice: { severity: "warn", expected: "each pfn once in a batch" },
} as const satisfies Record<string, Kind>;
type KindName = keyof typeof KINDS;

/** Page types as bits: bit 0x0 to bit 0xf. */
const typesMask = (isIn: (type: PageType) => boolean): number =>
  PAGE_TYPES.reduce((mask, type, number) => (isIn(type) ? mask | (1 << number) : mask), 0);
const DATA_TYPES_MASK = typesMask(({ hasData }) => hasData);
const TABLE_LEVEL_MAX = 4;
/** By the highest page-table level of the guest: the types that it cannot have. */
const BAD_TYPES_MASKS: readonly number[] = Array.from({ length: TABLE_LEVEL_MAX + 1 }, (_, level) =>
  typesMask(({ known, tableLevel }) => !known || tableLevel > level),
);

export interface PagesState {
  readonly pagesSent: number;
  readonly pagesWithData: number;
  readonly pfnMax: number;
  readonly tableLevelMax: number;
  readonly highest: number;
  readonly seen: PfnSetState;
}

export class PageChecker {
  /** Distinct pfns met so far. */
  readonly seen = new PfnSet();
  pagesSent = 0;
  pagesWithData = 0;
  /** Highest pfn that a batch may name; PV learns it from X86_PV_P2M_FRAMES. */
  pfnMax = HVM_PFN_MAX;
  /** Highest page-table level this guest has: 0 for HVM. */
  tableLevelMax = TABLE_LEVEL_MAX;
  private readonly log: FindingLog;
  private readonly batch = new PfnSet();
  /** Of this batch: the types met, as bits, and the pages whose type carries data. */
  private typesSeen = 0;
  private dataPages = 0;
  private readonly bad = new Map<KindName, { readonly first: What; count: number }>();
  private previous = -1;
  private batchCount = 0;
  private highest = -1;
  /** An entry of this batch is out of bounds or has reserved bits: find out which. */
  private hasSuspects = false;

  constructor(log: FindingLog) {
    this.log = log;
  }

  /** Between two records. */
  get state(): PagesState {
    const { pagesSent, pagesWithData, pfnMax, tableLevelMax, highest } = this;
    const seen = this.seen.state;
    return { pagesSent, pagesWithData, pfnMax, tableLevelMax, highest, seen };
  }

  restore(state: PagesState): void {
    this.pagesSent = state.pagesSent;
    this.pagesWithData = state.pagesWithData;
    this.pfnMax = state.pfnMax;
    this.tableLevelMax = state.tableLevelMax;
    this.highest = state.highest;
    this.seen.restore(state.seen);
  }

  pfns(list: PfnList): void {
    this.batchCount = list.batchCount;
    this.pagesSent += list.count;
    const isWhole = list.count === list.batchCount;
    const ascending = this.scan(list);
    // Writers go through the guest upwards: only a batch that does not can hold a pfn twice.
    if (!isWhole || !ascending) this.findTwice(list);
  }

  /**
   * One pass over the entries; tells whether the pfns only go up. Real batches are a few long runs
   * of consecutive pfns of one type, and a run is counted and added to the set whole.
   */
  private scan(list: PfnList): boolean {
    const { words } = list;
    const end = list.count * 2;
    let ascending = true;
    for (let word = 0; word < end;) {
      const [first, high] = [words[word]!, words[word + 1]!];
      if ((high & HIGH_REST_MASK) !== 0) return this.scanWide(list, word / 2) && ascending;
      if (first <= this.previous) ascending = false;
      const next = endOfRun(words, word, end);
      const count = (next - word) / 2;
      const type = high >>> TYPE_SHIFT;
      this.typesSeen |= 1 << type;
      this.dataPages += ((DATA_TYPES_MASK >>> type) & 1) * count;
      this.previous = first + count - 1;
      this.addRun(first, this.previous);
      word = next;
    }
    if (this.hasSuspects || this.hasBadTypes()) this.scanSlowly(list);
    return ascending;
  }

  private countType(high: number, count: number): void {
    const type = high >>> TYPE_SHIFT;
    this.typesSeen |= 1 << type;
    this.dataPages += ((DATA_TYPES_MASK >>> type) & 1) * count;
  }

  private addRun(first: number, last: number): void {
    if (last > this.pfnMax) this.hasSuspects = true;
    else {
      this.seen.addRange(first, last);
      if (last > this.highest) this.highest = last;
    }
  }

  /**
   * From the first entry on that has upper pfn bits or reserved ones: guests beyond 16 TiB, and
   * damage.
   */
  private scanWide(list: PfnList, from: number): boolean {
    let ascending = true;
    for (let index = from; index < list.count; index++) {
      const high = list.words[index * 2 + 1]!;
      const pfn = pfnOf(list.words[index * 2]!, high);
      this.countType(high, 1);
      if (pfn <= this.previous) ascending = false;
      this.previous = pfn;
      if ((high & RESERVED_HIGH_MASK) !== 0) this.hasSuspects = true;
      this.addRun(pfn, pfn); // libxc ignores reserved bits: the page is sent all the same.
    }
    if (this.hasSuspects || this.hasBadTypes()) this.scanSlowly(list);
    return ascending;
  }

  private hasBadTypes(): boolean {
    const level = Math.min(this.tableLevelMax, TABLE_LEVEL_MAX);
    return (this.typesSeen & BAD_TYPES_MASKS[level]!) !== 0; // A level is a byte of the stream.
  }

  /** Finds out which entries are bad, and where. */
  private scanSlowly(list: Pick<PfnList, "words" | "count" | "firstIndex" | "fileOffset">): void {
    for (let index = 0; index < list.count; index++) {
      const low = list.words[index * 2]!;
      const high = list.words[index * 2 + 1]!;
      const pfn = pfnOf(low, high);
      const type = PAGE_TYPES[high >>> TYPE_SHIFT]!;
      const entry = {
        field: `pfn[${list.firstIndex + index}]`,
        at: list.fileOffset + index * PFN_BYTES,
      };
      if (!type.known) this.note("type", entry, type.name);
      if ((high & RESERVED_HIGH_MASK) !== 0) {
        this.note("reserved", entry, hex((high & RESERVED_HIGH_MASK) >>> 20));
      }
      if (pfn > this.pfnMax)
        this.note("bounds", entry, `${hex(pfn)}, the last is ${hex(this.pfnMax)}`);
      if (type.tableLevel > this.tableLevelMax) this.note("table", entry, type.name);
    }
  }

  private findTwice({ words, count, firstIndex, fileOffset }: PfnList): void {
    for (let index = 0; index < count; index++) {
      const pfn = pfnOf(words[index * 2]!, words[index * 2 + 1]!);
      if (this.batch.add(pfn) || this.batch.isFull) continue;
      const entry = { field: `pfn[${firstIndex + index}]`, at: fileOffset + index * PFN_BYTES };
      this.note("twice", entry, `${hex(pfn)} again`);
    }
  }

  private note(
    kind: KindName,
    { field, at }: { readonly field: string; readonly at: number },
    found: string,
  ): void {
    const known = this.bad.get(kind);
    if (known !== undefined) known.count++;
    else {
      const first = { field, fileOffset: at, expected: KINDS[kind].expected, found };
      this.bad.set(kind, { first, count: 1 });
    }
  }

  /** The batch is over: its size must be what its types add up to. */
  recordEnd(record: StreamRecord): void {
    const { log } = this;
    if (this.bad.size > 0) this.reportBad(record);
    if (this.batch.isFull) {
      log.warn(record, {
        field: "pfns",
        expected: "pfns close enough to each other to be compared",
        found: "too scattered: pfns that stand twice may go unnoticed",
      });
    }
    const { dataPages } = this;
    const size = HEAD_BYTES + this.batchCount * PFN_BYTES + dataPages * PAGE_BYTES;
    if (this.batchCount > 0 && size !== record.bodyBytes) {
      log.error(record, {
        field: "body_length",
        fileOffset: record.fileOffset + 4,
        expected: `${size} for ${plural(this.batchCount, "pfn")}, ${dataPages} of them with data`,
        found: record.bodyBytes,
      });
    }
    this.pagesWithData += dataPages;
    this.startBatch();
  }

  private reportBad(record: StreamRecord): void {
    for (const [kind, { first, count }] of this.bad) {
      const more = count > 1 ? ` (and ${count - 1} more in this record)` : "";
      this.log[KINDS[kind].severity](record, { ...first, found: `${first.found}${more}` });
    }
  }

  /** All memory has been sent once: says which pfns never were. Their contents would be lost. */
  checkCoverage(place: Place, pfnLast: number | undefined): void {
    const last = pfnLast ?? this.highest;
    if (this.seen.isFull) return;
    if (this.highest <= last && this.seen.count === last + 1) return; // As many as there are.
    const gap = this.seen.firstGap(last);
    if (gap === undefined) return;
    const missing = last + 1 - this.seen.count;
    const more = missing > gap.last - gap.first + 1 ? `, ${missing} pfns in all` : "";
    this.log.warn(place, {
      field: "pfns",
      expected: `every pfn up to ${hex(last)} at least once before this record`,
      found: `none of ${hex(gap.first)} to ${hex(gap.last)}${more}`,
    });
  }

  private startBatch(): void {
    this.typesSeen = 0;
    this.dataPages = 0;
    if (this.bad.size > 0) this.bad.clear();
    if (this.batch.count > 0 || this.batch.isFull) this.batch.clear();
    this.previous = -1;
    this.batchCount = 0;
    this.hasSuspects = false;
  }
}

/** Where the run of consecutive pfns of one type that begins at `start` ends, in words. */
function endOfRun(words: Uint32Array, start: number, end: number): number {
  // The hot loop: small, so that it is compiled soon, and compiled in a millisecond.
  const high = words[start + 1]!;
  let low = words[start]!;
  let word = start + 2;
  while (word < end && words[word] === low + 1 && words[word + 1] === high) {
    low++;
    word += 2;
  }
  return word;
}
