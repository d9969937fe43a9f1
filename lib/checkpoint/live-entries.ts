// Which entries of a journal count at a restore point: of each pfn the last one up to its round.
// One pass over the journal numbers all entries from 1 and keeps the last number of each pfn.

import { hex, RefusedError } from "../base/index.ts";
import { PageIndex, pfnOf } from "../stream/index.ts";
import { JournalReader, type JournalRecord } from "./journal-reader.ts";
import { BATCH_HEAD, BATCH_HEAD_BYTES, ITEM_HEAD, ITEM_KIND, KIND } from "./layout.ts";
import { offsetOf } from "../bytes/index.ts";
import type { Fd } from "../sys/index.ts";

const AT = {
  round: offsetOf(BATCH_HEAD, "round"),
  flags: offsetOf(BATCH_HEAD, "flags"),
  entries: offsetOf(BATCH_HEAD, "entries"),
  contents: offsetOf(BATCH_HEAD, "contents"),
  replaced: offsetOf(BATCH_HEAD, "replaced"),
  reserved: offsetOf(BATCH_HEAD, "head_reserved"),
} as const;

/** A batch of the journal; valid as long as its record is. */
export interface Batch {
  readonly round: number;
  readonly flags: number;
  readonly entries: number;
  readonly contents: number;
  readonly replaced: number;
  readonly headReserved: number;
  readonly words: Uint32Array;
  /** Indices in `words`. */
  readonly entriesAt: number;
  readonly slotsAt: number;
  readonly checksAt: number;
  readonly replacedAt: number;
}

export function batchOf({ view, words, at }: JournalRecord): Batch {
  const entries = view.getUint32(at + AT.entries, true);
  const contents = view.getUint32(at + AT.contents, true);
  const entriesAt = (at + BATCH_HEAD_BYTES) / 4;
  const slotsAt = entriesAt + entries * 2;
  const checksAt = slotsAt + contents;
  return {
    round: view.getUint32(at + AT.round, true),
    flags: view.getUint32(at + AT.flags, true),
    entries,
    contents,
    replaced: view.getUint32(at + AT.replaced, true),
    headReserved: view.getUint32(at + AT.reserved, true),
    words,
    entriesAt,
    slotsAt,
    checksAt,
    replacedAt: checksAt + contents,
  };
}

export const pfnAt = (words: Uint32Array, index: number): number =>
  pfnOf(words[index]!, words[index + 1]!);

export interface Item {
  readonly item: number;
  readonly round: number;
  readonly continues: boolean;
  readonly type: number;
  readonly vcpu: number;
}

const ITEM_AT = {
  item: offsetOf(ITEM_HEAD, "item"),
  round: offsetOf(ITEM_HEAD, "round"),
  continues: offsetOf(ITEM_HEAD, "continues"),
  type: offsetOf(ITEM_HEAD, "type"),
  vcpu: offsetOf(ITEM_HEAD, "vcpu"),
} as const;

export const itemOf = ({ view, at }: JournalRecord): Item => ({
  item: view.getUint32(at + ITEM_AT.item, true),
  round: view.getUint32(at + ITEM_AT.round, true),
  continues: view.getUint32(at + ITEM_AT.continues, true) === 1,
  type: view.getUint32(at + ITEM_AT.type, true),
  vcpu: view.getUint32(at + ITEM_AT.vcpu, true),
});

/** What counts at the end of a round. */
export interface Live {
  /** The number of the last entry of each pfn. */
  readonly index: PageIndex;
  /** Numbers of the first records of the state items that count. */
  readonly states: ReadonlySet<number>;
}

/** Reads a journal up to the COMMIT of a round. Throws RefusedError where it has none. */
export function liveAt(fd: Fd, until: number, round: number): Live {
  const index = new PageIndex("u32");
  const latest = new Map<number, { round: number; readonly byVcpu: Map<number, number> }>();
  using reader = new JournalReader(fd, until);
  let ordinal = 0;
  let isInside = false; // The record goes on with an item that another one began.
  while (reader.next()) {
    if (reader.kind === KIND.batch) {
      const batch = batchOf(reader);
      if (batch.round > round) continue;
      ordinal = indexBatch(index, batch, ordinal);
    } else if (reader.kind === KIND.item) {
      const item = itemOf(reader);
      if (!isInside && item.item === ITEM_KIND.state && item.round <= round) {
        noteState(latest, item, reader.number);
      }
      isInside = item.continues;
    }
  }
  if (reader.stopped !== undefined) {
    throw new RefusedError(`Cannot read "${fd.name}": found ${reader.stopped}`);
  }
  const states = new Set([...latest.values()].flatMap(({ byVcpu }) => [...byVcpu.values()]));
  return { index, states };
}

/** Numbers the entries of a batch on; returns the last number. */
export function indexBatch(index: PageIndex, { words, entriesAt, entries }: Batch, before: number) {
  let ordinal = before;
  for (let at = entriesAt; at < entriesAt + entries * 2; at += 2) {
    ordinal++;
    const pfn = pfnAt(words, at);
    if (!index.set(pfn, ordinal)) {
      throw new RefusedError(`Cannot read the journal: no room for pfn ${hex(pfn)}`);
    }
  }
  return ordinal;
}

function noteState(
  latest: Map<number, { round: number; readonly byVcpu: Map<number, number> }>,
  { type, vcpu, round }: Item,
  number: number,
): void {
  let entry = latest.get(type);
  if (entry === undefined || entry.round < round) {
    entry = { round, byVcpu: new Map() };
    latest.set(type, entry);
  }
  entry.byVcpu.set(vcpu, number);
}
