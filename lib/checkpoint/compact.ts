// A journal without what no restore point needs. `round` is that of the oldest point that is kept.
//
//   batches up to that round      the entries that count at its end, and no more replaced slots
//   batches behind it             as they are: each point between needs its own
//   state up to that round        what counts at its end
//   libxl's records before it     none
//   COMMITs before it             as PAST, the latest of them

import { assert } from "../base/index.ts";
import { read, write } from "../bytes/index.ts";
import { PAGE_TYPES, TYPE_SHIFT } from "../stream/index.ts";
import type { Fd } from "../sys/index.ts";
import { JournalReader, type JournalRecord } from "./journal-reader.ts";
import { type JournalPlace, JournalWriter, writeFileHeader } from "./journal-writer.ts";
import {
  BATCH_HEAD,
  BATCH_HEAD_BYTES,
  BATCH_INTACT_MASK,
  batchBytes,
  COMMIT,
  FILE_HEADER_BYTES,
  ITEM_KIND,
  KIND,
  PAST_COMMITS_MAX,
} from "./layout.ts";
import { type Batch, batchOf, itemOf, type Live, liveAt, pfnAt } from "./live-entries.ts";
import { pointOf, type RestorePoint } from "./points.ts";

export interface CompactOptions {
  readonly source: Fd;
  /** An empty file. */
  readonly target: Fd;
  /** Behind the last record that counts. */
  readonly until: number;
  readonly round: number;
  readonly stream: number;
  readonly createdMs: number;
}

export interface Compacted {
  readonly place: JournalPlace;
  readonly points: readonly RestorePoint[];
}

/** Writes the journal; syncing it and putting it in its place is the caller's. */
export function compactJournal(options: CompactOptions): Compacted {
  const { source, target, until, round, stream, createdMs } = options;
  const live = liveAt(source, until, round);
  const place = writeFileHeader(target, { stream, createdMs });
  using writer = new JournalWriter(target, place);
  using reader = new JournalReader(source, until);
  const compactor = new Compactor({ writer, live, round, stream });
  while (reader.next()) compactor.record(reader);
  assert(reader.stopped === undefined, "a journal that was read can be read again");
  writer.flush();
  return { place: writer.place, points: compactor.points };
}

interface CompactorParts {
  readonly writer: JournalWriter;
  readonly live: Live;
  readonly round: number;
  readonly stream: number;
}

class Compactor {
  readonly points: RestorePoint[] = [];
  private readonly parts: CompactorParts;
  private ordinal = 0;
  private insideKept: boolean | undefined;
  private pointStart: JournalPlace = { position: FILE_HEADER_BYTES, number: 1 };

  constructor(parts: CompactorParts) {
    this.parts = parts;
  }

  record(record: JournalRecord): void {
    switch (record.kind) {
      case KIND.item:
        return this.item(record);
      case KIND.batch:
        return this.batch(record);
      case KIND.commit:
        return this.commit(record);
      case KIND.past:
        return this.remember(record);
      case KIND.failover:
        return this.copy(record);
    }
  }

  private copy({ kind, bytes, at, bodyBytes }: JournalRecord): void {
    this.parts.writer.copy(
      kind as Parameters<JournalWriter["copy"]>[0],
      bytes.subarray(at, at + bodyBytes),
    );
  }

  private item(record: JournalRecord): void {
    const { continues } = itemOf(record);
    const isKept = this.insideKept ?? this.keepsItem(record);
    if (isKept) this.copy(record);
    this.insideKept = continues ? isKept : undefined;
  }

  private keepsItem(record: JournalRecord): boolean {
    const { item, round } = itemOf(record);
    if (item === ITEM_KIND.raw) return true;
    if (item === ITEM_KIND.tail || round > this.parts.round) return round >= this.parts.round;
    return this.parts.live.states.has(record.number);
  }

  private batch(record: JournalRecord): void {
    const batch = batchOf(record);
    if (batch.round > this.parts.round) return this.copy(record);
    const { index } = this.parts.live;
    const { words, entriesAt, entries } = batch;
    const kept: number[] = [];
    for (let entry = 0; entry < entries; entry++) {
      const pfn = pfnAt(words, entriesAt + entry * 2);
      if (index.get(pfn) === this.ordinal + entry + 1) kept.push(entry);
    }
    this.ordinal += entries;
    if (kept.length === 0) return;
    if (kept.length === entries && batch.replaced === 0) this.copy(record);
    else this.writePart(batch, kept);
  }

  private writePart(batch: Batch, kept: readonly number[]): void {
    const { writer } = this.parts;
    const slots: number[] = [];
    const checks: number[] = [];
    let contents = 0;
    let next = 0;
    for (let entry = 0; entry < batch.entries; entry++) {
      const type = batch.words[batch.entriesAt + entry * 2 + 1]! >>> TYPE_SHIFT;
      const { hasData } = PAGE_TYPES[type]!;
      if (kept[next] === entry) {
        next++;
        if (hasData) {
          slots.push(batch.words[batch.slotsAt + contents]!);
          checks.push(batch.words[batch.checksAt + contents]!);
        }
      }
      if (hasData) contents++;
    }
    const bytes = batchBytes(kept.length, slots.length, 0);
    const at = writer.begin(KIND.batch, bytes);
    const isWhole = kept.length === batch.entries;
    write(BATCH_HEAD, writer.view, at, {
      round: batch.round,
      flags: isWhole ? batch.flags : batch.flags & ~BATCH_INTACT_MASK,
      entries: kept.length,
      contents: slots.length,
      replaced: 0,
      head_reserved: batch.headReserved,
    });
    let word = (at + BATCH_HEAD_BYTES) / 4;
    for (const entry of kept) {
      const from = batch.entriesAt + entry * 2;
      writer.words[word++] = batch.words[from]!;
      writer.words[word++] = batch.words[from + 1]!;
    }
    for (const value of [...slots, ...checks]) writer.words[word++] = value;
    writer.end(bytes);
  }

  private remember({ view, at, bytes, bodyBytes }: JournalRecord): void {
    const { round, writer } = this.parts;
    if (read(COMMIT, view, at).round + PAST_COMMITS_MAX < round) return;
    writer.copy(KIND.past, bytes.subarray(at, at + bodyBytes));
  }

  private commit(record: JournalRecord): void {
    const row = read(COMMIT, record.view, record.at);
    if (row.round < this.parts.round) return this.remember(record);
    this.copy(record);
    const { stream, writer } = this.parts;
    const journalEnd = writer.place;
    this.points.push(pointOf(row, { stream, journalStart: this.pointStart, journalEnd }));
    this.pointStart = journalEnd;
  }
}
