// The batches of a legacy stream as PAGE_DATA. The entries that the old saver left for runs it
// could not map are dropped; a batch of nothing else makes no record, since no reader takes an
// empty one.

import { hex } from "../../base/index.ts";
import { type Finding, type Sink, StreamError } from "../../bytes/index.ts";
import { LEGACY_BATCH_PFNS_MAX, LEGACY_PFN_MASK, LEGACY_TYPE_SHIFT } from "../legacy/index.ts";
import { LIBXC, PAGE_TYPES } from "../libxc/index.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";
import { beginRecord } from "../write/index.ts";
import { BatchSet } from "./batch-set.ts";

/** XTAB with pfn 0: the old saver's mark for a run that could not be mapped. */
const UNMAPPED_ENTRY = 0xf000_0000;
const TYPE_MASK = 0xf000_0000;
const PFN_BYTES = 8;

export class LegacyPages {
  /** Entries written, those with contents among them, and those left out. */
  sent = 0;
  withData = 0;
  dropped = 0;
  /** The output's records, and the batches that made none. */
  records = 0;
  emptyBatches = 0;

  private readonly sink: Sink;
  private readonly p2mSize: number;
  private readonly seen = new BatchSet();
  private readonly kept = new Uint32Array(LEGACY_BATCH_PFNS_MAX);

  constructor(sink: Sink, p2mSize: number) {
    this.sink = sink;
    this.p2mSize = p2mSize;
  }

  /** Writes the record up to its contents; the walk moves those behind it. */
  batch(record: StreamRecord, list: PfnList): void {
    const count = this.take(record, list);
    this.dropped += list.count - count;
    if (count === 0) {
      this.emptyBatches++;
      return;
    }
    const contentBytes = record.bodyBytes - list.count * list.wordsPerPfn * 4;
    const { sink } = this;
    beginRecord(sink, LIBXC.pageData, { count, reserved: 0 }, count * PFN_BYTES + contentBytes);
    const at = sink.build(count * PFN_BYTES);
    const { view } = sink;
    for (let index = 0; index < count; index++) {
      const entry = this.kept[index]!;
      view.setUint32(at + index * PFN_BYTES, entry & LEGACY_PFN_MASK, true);
      view.setUint32(at + index * PFN_BYTES + 4, (entry & TYPE_MASK) >>> 0, true);
    }
    this.sent += count;
    this.records++;
  }

  /** Fills `kept`; tells how many. */
  private take(record: StreamRecord, { words, wordsPerPfn, count, fileOffset }: PfnList): number {
    const { kept, seen } = this;
    let keptCount = 0;
    seen.clear();
    for (let index = 0; index < count; index++) {
      const entry = words[index * wordsPerPfn]!;
      const high = wordsPerPfn === 2 ? words[index * 2 + 1]! : 0;
      if (high === 0 && entry === UNMAPPED_ENTRY) continue;
      const type = PAGE_TYPES[entry >>> LEGACY_TYPE_SHIFT]!;
      const isRight = type.known && high === 0 && (entry & LEGACY_PFN_MASK) < this.p2mSize;
      if (!isRight || !seen.add(entry)) {
        const at = fileOffset + index * wordsPerPfn * 4;
        throw this.refuse({ ...record, field: `pfn[${index}]`, fileOffset: at }, entry, high);
      }
      kept[keptCount++] = entry;
      if (type.hasData) this.withData++;
    }
    return keptCount;
  }

  private refuse(
    where: StreamRecord & Pick<Finding, "field">,
    entry: number,
    high: number,
  ): StreamError {
    const type = PAGE_TYPES[entry >>> LEGACY_TYPE_SHIFT]!;
    const pfn = entry & LEGACY_PFN_MASK;
    const [expected, found] =
      high !== 0
        ? ["bits 32 and up clear", hex(high)]
        : !type.known
          ? ["a page type that Xen defines", type.name]
          : pfn >= this.p2mSize
            ? [`a pfn below p2m_size, ${hex(this.p2mSize)}`, hex(pfn)]
            : ["each entry once", `${hex(entry)} again`];
    const { layer, record, recordNumber, fileOffset, field } = where;
    const place = { layer, record, recordNumber, fileOffset };
    return new StreamError({ ...place, severity: "error", strict: true, field, expected, found });
  }
}
