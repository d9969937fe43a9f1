// The visitor that keeps a checkpointed stream: page contents go to the page file, everything else
// to the journal, in the order of the stream. What counts of it at the end of a round is what
// squash has it (lib/stream/final): the same code reads records and refuses bad ones.

import { hex, plural, RefusedError } from "../base/index.ts";
import { type Finding, type Place, StreamError } from "../bytes/index.ts";
import {
  BATCH_PFNS_MAX,
  Chooser,
  fateOf,
  type HeaderEvent,
  isBatch,
  isVcpuRecord,
  LIBXC,
  LIBXL,
  type PageEntry,
  PageIndex,
  type PfnList,
  type Piece,
  refusal,
  type StreamRecord,
  type Visitor,
  type Want,
} from "../stream/index.ts";
import { BatchRecord } from "./batch-record.ts";
import { ItemRecord } from "./item-record.ts";
import type { JournalWriter } from "./journal-writer.ts";
import { BATCH_ENTRIES_MAX, BATCH_INTACT_MASK, BATCH_LARGE_MASK, ITEM_KIND } from "./layout.ts";
import type { PageFile } from "./page-file.ts";
import { FIRST_SLOT_VALUE, NO_CONTENTS, type SlotMap } from "./slot-map.ts";

export interface RecorderParts {
  readonly journal: JournalWriter;
  readonly pages: PageFile;
  readonly slots: SlotMap;
  /** By pfn: NO_CONTENTS, or FIRST_SLOT_VALUE and the slot. */
  readonly index: PageIndex;
  /** Checkpoints that are kept already, of a stream that was taken over. */
  readonly rounds: number;
  /** The headers have been kept already: what comes first is a copy of them. */
  readonly skipsHeaders: boolean;
  /** "Cannot receive ...": for refusals. */
  readonly cannot: string;
  readonly onCheckpoint: (endOffset: number) => void;
}

/** What a round has brought so far. */
export interface RoundCounts {
  entries: number;
  contents: number;
}

export class Recorder implements Visitor {
  /** The round that is being received, from 1. */
  round: number;
  readonly counts: RoundCounts = { entries: 0, contents: 0 };
  private hasLibxl = false;
  private readonly parts: RecorderParts;
  private readonly chooser: Chooser;
  private readonly item: ItemRecord;
  private readonly batch: BatchRecord;
  /** What stands behind the body of the record at hand, where that is not zeros. */
  private padding: Uint8Array | undefined;

  constructor(parts: RecorderParts) {
    this.parts = parts;
    this.round = parts.rounds + 1;
    this.item = new ItemRecord(parts.journal, { skipsHeaders: parts.skipsHeaders });
    this.batch = new BatchRecord(parts.journal);
    this.chooser = new Chooser((entry) => this.entry(entry));
  }

  /** Everything up to the image's headers: what a walk must see before it can go on. */
  get headers(): Uint8Array {
    return Buffer.concat(this.item.headers);
  }

  /** Another one can go on behind a checkpoint with nothing but those headers. */
  get canBeTakenOver(): boolean {
    return !this.chooser.reader.isVerifying;
  }

  literal({ layer }: Place, piece: Piece): void {
    this.refuseOther(layer);
    this.raw(piece);
  }

  /** Before anything is kept: libxc alone has no place for the device model, others no rounds. */
  private refuseOther(layer: Place["layer"]): void {
    if (layer === "xl" || layer === "libxl") this.hasLibxl = true;
    else if (layer !== "libxc" || !this.hasLibxl) {
      throw new RefusedError(
        `${this.parts.cannot}: wanted a checkpointed stream of xl or libxl, ` +
          `found a ${layer} stream`,
      );
    }
  }

  header(header: HeaderEvent, piece: Piece): void {
    this.refuseOther(header.layer);
    this.chooser.header(header, piece);
    this.raw(piece);
    if (header.record === "domain_header") this.item.passHeaders();
  }

  private raw({ bytes, at, length }: Piece): void {
    this.item.begin({ item: ITEM_KIND.raw, round: this.round, type: 0, vcpu: 0 });
    this.item.add(bytes.subarray(at, at + length));
    this.item.end();
  }

  record(record: StreamRecord): Want {
    if (record.layer === "libxl" && record.type === LIBXL.checkpointState.type) {
      throw this.isColo();
    }
    this.refuseOther(record.layer);
    this.chooser.record(record);
    this.padding = undefined;
    const fate = fateOf(record);
    if (fate === "pages") return this.chooser.reader.isVerifying ? "nothing" : "body";
    if (fate === "drop" || isEnd(record)) return "nothing";
    const item = fate === "keep" ? "raw" : fate === "tail" ? "tail" : "state";
    if (record.bodyBytes === 0) this.beginItem(record, item, 0);
    else this.itemKind = item;
    return "body";
  }

  private itemKind: keyof typeof ITEM_KIND | undefined;

  private beginItem(record: StreamRecord, item: keyof typeof ITEM_KIND, vcpu: number): void {
    this.itemKind = undefined;
    const { round } = this;
    this.item.begin({ item: ITEM_KIND[item], round, type: record.type, vcpu });
    if (record.layer !== "xl") this.item.addHeader(record.type, record.bodyBytes);
  }

  body(record: StreamRecord, piece: Piece): void {
    const { view, bytes, at, length, bodyAt } = piece;
    if (isBatch(record)) {
      this.batch.headReserved = view.getUint32(at + 4, true);
      return;
    }
    if (bodyAt === 0 && this.itemKind !== undefined) {
      const isVcpu = isVcpuRecord(record);
      if (isVcpu) this.chooser.body(record, piece); // Which vcpu it is of.
      this.beginItem(record, this.itemKind, isVcpu ? view.getUint32(at, true) : 0);
    }
    this.item.add(bytes.subarray(at, at + length));
  }

  // ---- Pages ----------------------------------------------------------------------------------

  pfns(record: StreamRecord, list: PfnList): void {
    const { batchCount, words, count } = list;
    if (batchCount > BATCH_ENTRIES_MAX) {
      throw refusal(record, {
        field: "count",
        fileOffset: record.bodyOffset,
        expected: `at most ${BATCH_ENTRIES_MAX} pfns in a batch that is received`,
        found: String(batchCount),
      });
    }
    this.batch.begin(words, count);
    this.chooser.pfns(record, list);
    this.counts.entries += count;
  }

  private entry(entry: PageEntry): void {
    const { index, slots } = this.parts;
    const old = index.get(entry.pfn);
    if (old >= FIRST_SLOT_VALUE) this.supersede(old - FIRST_SLOT_VALUE);
    let value = NO_CONTENTS;
    if (entry.hasData) {
      const slot = slots.take();
      this.batch.addSlot(slot);
      value = slot + FIRST_SLOT_VALUE;
      this.counts.contents++;
    }
    if (index.set(entry.pfn, value)) return;
    throw new RefusedError(
      `${this.parts.cannot}: its pfns are too scattered for any guest: no room for ` +
        `${hex(entry.pfn)} behind ${plural(index.count, "other")}`,
    );
  }

  /** A page of this very round is needed by nobody; an older one until this round is committed. */
  private supersede(slot: number): void {
    const { slots } = this.parts;
    if (slots.isFresh(slot)) slots.free(slot);
    else this.batch.addReplaced(slot);
  }

  pages(record: StreamRecord, piece: Piece): void {
    if (this.batch.written === 0) this.chooser.recordEnd(record); // Its length may be wrong.
    this.batch.write(this.parts.pages, piece);
  }

  recordEnd(record: StreamRecord): void {
    this.chooser.recordEnd(record);
    if (isBatch(record)) {
      if (!this.batch.isOpen) return;
      const { round } = this;
      const isLarge = this.batch.entries > BATCH_PFNS_MAX;
      const isIntact = !isLarge && !this.chooser.reader.hasReservedBits;
      const flags = isLarge ? BATCH_LARGE_MASK : isIntact ? BATCH_INTACT_MASK : 0;
      return this.batch.end(round, flags);
    }
    if (!this.item.isOpen) return;
    if (record.layer !== "xl") this.item.pad(record.bodyBytes, this.padding);
    this.item.end();
  }

  checkpoint(checkpoint: { readonly number: number; readonly endOffset: number }): void {
    this.chooser.checkpoint();
    this.parts.onCheckpoint(checkpoint.endOffset);
    this.round++;
    this.counts.entries = 0;
    this.counts.contents = 0;
  }

  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
    if (finding.field === "padding") this.padding = Uint8Array.fromHex(finding.found);
  }

  private isColo(): RefusedError {
    return new RefusedError(
      `${this.parts.cannot}: it is COLO's (a CHECKPOINT_STATE record): the receiver of COLO runs ` +
        "the guest, which only libxl can do; agent receives Remus. A stored COLO stream is for " +
        "agent squash",
    );
  }
}

const isEnd = ({ layer, type }: StreamRecord): boolean =>
  (layer === "libxc" && type === LIBXC.end.type) || (layer === "libxl" && type === LIBXL.end.type);
