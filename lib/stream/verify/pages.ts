// Checks of PAGE_DATA batches: types, reserved bits, bounds, the size that the types add up to,
// pfns twice in one batch, and whether every pfn of the guest was sent at all. The loop over the
// entries is the hot path of the whole program: 2 GiB of guest are half a million entries.

import { hex, plural } from "../../base/index.ts";
import {
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PAGE_TYPES,
  pfnOf,
  RESERVED_HIGH_MASK,
  TYPE_SHIFT,
} from "../libxc/index.ts";
import { type Place, sizeOf } from "../../bytes/index.ts";
import { PfnSet } from "../pfn-set.ts";
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

export class PageChecker {
  /** Distinct pfns met so far. */
  readonly seen = new PfnSet();
  pagesSent = 0;
  pagesWithData = 0;
  /** Highest pfn that a batch may name; PV learns it from X86_PV_P2M_FRAMES. */
  pfnMax = HVM_PFN_MAX;
  /** Highest page-table level this guest has: 0 for HVM. */
  tableLevelMax = 4;
  private readonly log: FindingLog;
  private readonly batch = new PfnSet();
  private readonly typeCounts = new Uint32Array(16);
  private readonly bad = new Map<KindName, { readonly first: What; count: number }>();
  private previous = -1;
  private batchCount = 0;
  private highest = -1;
  /** An entry of this batch is out of bounds or has reserved bits: find out which. */
  private hasSuspects = false;

  constructor(log: FindingLog) {
    this.log = log;
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
   * of consecutive pfns, so an entry costs two comparisons and a count, and a run is added to the
   * set whole.
   */
  private scan(list: PfnList): boolean {
    const { words, count } = list;
    const { typeCounts } = this;
    let ascending = true;
    let first = words[0]!;
    let next = first;
    if (first <= this.previous) ascending = false;
    for (let word = 0; word < count * 2; word += 2) {
      const low = words[word]!;
      const high = words[word + 1]!;
      if (low !== next || (high & HIGH_REST_MASK) !== 0) {
        if (next > first) this.addRun(first, next - 1);
        if ((high & HIGH_REST_MASK) !== 0) {
          this.previous = next - 1;
          return this.scanWide(list, word / 2) && ascending;
        }
        if (low < next) ascending = false;
        first = low;
      }
      typeCounts[high >>> TYPE_SHIFT]!++;
      next = low + 1;
    }
    this.addRun(first, next - 1);
    if (this.hasSuspects || this.hasBadTypes()) this.scanSlowly(list);
    this.previous = next - 1;
    return ascending;
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
      this.typeCounts[high >>> TYPE_SHIFT]!++;
      if (pfn <= this.previous) ascending = false;
      this.previous = pfn;
      if ((high & RESERVED_HIGH_MASK) !== 0) this.hasSuspects = true;
      else this.addRun(pfn, pfn);
    }
    if (this.hasSuspects || this.hasBadTypes()) this.scanSlowly(list);
    return ascending;
  }

  private hasBadTypes(): boolean {
    return PAGE_TYPES.some(
      ({ known, tableLevel }, type) =>
        (!known || tableLevel > this.tableLevelMax) && this.typeCounts[type]! > 0,
    );
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
    for (const [kind, { first, count }] of this.bad) {
      const more = count > 1 ? ` (and ${count - 1} more in this record)` : "";
      log[KINDS[kind].severity](record, { ...first, found: `${first.found}${more}` });
    }
    if (this.batch.isFull) {
      log.warn(record, {
        field: "pfns",
        expected: "pfns close enough to each other to be compared",
        found: "too scattered: pfns that stand twice may go unnoticed",
      });
    }
    let dataPages = 0;
    for (const [type, { hasData }] of PAGE_TYPES.entries()) {
      if (hasData) dataPages += this.typeCounts[type]!;
    }
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

  /** All memory has been sent once: says which pfns never were. Their contents would be lost. */
  checkCoverage(place: Place, pfnLast: number | undefined): void {
    const last = pfnLast ?? this.highest;
    if (this.seen.isFull) return;
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
    this.typeCounts.fill(0);
    if (this.bad.size > 0) this.bad.clear();
    if (this.batch.count > 0 || this.batch.isFull) this.batch.clear();
    this.previous = -1;
    this.batchCount = 0;
    this.hasSuspects = false;
  }
}
