// Follows the PAGE_DATA records of a walk entry by entry: which one of the whole stream an entry
// is, and where its contents stand. A batch that libxc would refuse is an error: nothing could be
// relied on behind it.

import { assert, hex, plural } from "../../base/index.ts";
import { type Finding, sizeOf, StreamError } from "../../bytes/index.ts";
import {
  LIBXC,
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PAGE_TYPES,
  pfnOf,
  RESERVED_HIGH_MASK,
  TYPE_SHIFT,
} from "../libxc/index.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";

const HEAD_BYTES = sizeOf(PAGE_DATA_HEAD);
const PFN_BYTES = 8;

/** By type: whether the contents are in the stream. */
const HAS_DATA = PAGE_TYPES.map(({ hasData }) => hasData);
const IS_KNOWN = PAGE_TYPES.map(({ known }) => known);

/** XTAB: there is no page, or it is sent again later. */
export const TYPE_HOLE = 0xf;

/** The entry at hand; what it holds changes with the next one. */
export interface PageEntry {
  readonly pfn: number;
  readonly type: number;
  readonly hasData: boolean;
  /** Entries of the whole stream counted from 1. */
  readonly ordinal: number;
  /** Absolute offset of its contents; for a type without, of the next contents. */
  readonly contentsOffset: number;
}

export class PageReader implements PageEntry {
  pfn = 0;
  type = 0;
  hasData = false;
  ordinal = 0;
  contentsOffset = 0;
  /** Of the batch at hand: an entry has reserved bits set, which restore takes no notice of. */
  hasReservedBits = false;
  /** Entries, and those with contents, of all batches. */
  withData = 0;
  /** Entries behind a VERIFY record, which restore compares and forgets. */
  ignored = 0;
  private isComparing = false;
  private batchEnd = 0;
  private readonly onEntry: (entry: PageEntry) => void;

  constructor(onEntry: (entry: PageEntry) => void) {
    this.onEntry = onEntry;
  }

  /** Whether a PAGE_DATA record is behind a VERIFY, and so is to be passed over. */
  get isVerifying(): boolean {
    return this.isComparing;
  }

  /** A record begins. */
  begin(record: StreamRecord): void {
    if (record.layer === "libxc" && record.type === LIBXC.verify.type) this.isComparing = true;
    this.batchEnd = -1; // Only a batch with a pfn list has one.
    this.hasReservedBits = false;
  }

  /** Part of the pfn list of a batch. */
  pfns(record: StreamRecord, list: PfnList): void {
    if (this.isComparing) {
      this.ignored += list.count;
      return;
    }
    assert(list.wordsPerPfn === 2, "a libxc pfn has two words");
    if (list.firstIndex === 0) {
      this.contentsOffset = record.bodyOffset + HEAD_BYTES + list.batchCount * PFN_BYTES;
      this.batchEnd = record.bodyOffset + record.bodyBytes;
    }
    const { words, count } = list;
    for (let index = 0; index < count; index++) {
      const low = words[index * 2]!;
      const high = words[index * 2 + 1]!;
      const type = high >>> TYPE_SHIFT;
      if (!IS_KNOWN[type]) throw badType(record, list, index);
      if ((high & RESERVED_HIGH_MASK) !== 0) this.hasReservedBits = true;
      this.pfn = pfnOf(low, high);
      this.type = type;
      this.hasData = HAS_DATA[type]!;
      this.ordinal++;
      this.onEntry(this);
      if (!this.hasData) continue;
      this.contentsOffset += PAGE_BYTES;
      this.withData++;
    }
  }

  /** A record ends: its entries and its length must agree. */
  end(record: StreamRecord): void {
    if (!isBatch(record) || this.isComparing) return;
    if (this.batchEnd === -1) {
      throw refusal(record, {
        field: "count",
        fileOffset: record.bodyOffset,
        expected: "at least 1 pfn",
        found: "0",
      });
    }
    const over = this.batchEnd - this.contentsOffset;
    if (over === 0) return;
    const wanted = record.bodyBytes - over;
    throw refusal(record, {
      field: "body_length",
      fileOffset: record.fileOffset + 4,
      expected: plural(wanted, "byte"),
      found: String(record.bodyBytes),
    });
  }
}

export const isBatch = ({ layer, type }: StreamRecord): boolean =>
  layer === "libxc" && type === LIBXC.pageData.type;

type Wrong = Pick<Finding, "field" | "fileOffset" | "expected" | "found">;

export const refusal = (record: StreamRecord, wrong: Wrong): StreamError => {
  const { layer, record: name, recordNumber } = record;
  const place = { layer, record: name, recordNumber };
  return new StreamError({ ...place, ...wrong, severity: "error", strict: true });
};

function badType(record: StreamRecord, list: PfnList, index: number): StreamError {
  const type = list.words[index * 2 + 1]! >>> TYPE_SHIFT;
  return refusal(record, {
    field: `pfn[${list.firstIndex + index}]`,
    fileOffset: list.fileOffset + index * PFN_BYTES,
    expected: "a page type that Xen defines",
    found: `${PAGE_TYPES[type]!.name} (${hex(type)})`,
  });
}
