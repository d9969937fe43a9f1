// One stream's files while it is received: journal, page file, and what is known of them. Its
// methods in the order of a round:
//
//   recorder      pages and items come; nothing of them counts yet
//   commit        pages are synced, then the COMMIT record: from here on the round counts
//   release       slots that no kept restore point needs may be used again; older streams go
//   compact       the journal is rewritten without what no restore point needs

import { assert, SystemError } from "../base/index.ts";
import type { Row } from "../bytes/index.ts";
import { PAGE_TYPES, PageIndex, TYPE_SHIFT } from "../stream/index.ts";
import { type Fd, resizeFile, syncData, syncFile } from "../sys/index.ts";
import { type Compacted, compactJournal } from "./compact.ts";
import {
  createFile,
  filesOf,
  openFile,
  removeFile,
  removeStream,
  renameFile,
  type StreamFiles,
  syncFolder,
} from "./folder.ts";
import { JournalReader } from "./journal-reader.ts";
import { type JournalPlace, JournalWriter, writeFileHeader } from "./journal-writer.ts";
import { COMMIT, FILE_HEADER_BYTES, KIND, SLOT_BYTES } from "./layout.ts";
import { batchOf, pfnAt } from "./live-entries.ts";
import { PageFile } from "./page-file.ts";
import { pointOf, type RestorePoint, type ScannedStream } from "./points.ts";
import { FIRST_SLOT_VALUE, NO_CONTENTS, SlotMap } from "./slot-map.ts";

/** disk: a commit is on the disk when it is reported. memory: it outlives us, not a power cut. */
export type Durability = "memory" | "disk";

/** What `compactSlackBytes` is where nobody has reason to choose. */
export const COMPACT_SLACK_BYTES = 4 * 1024 * 1024;

export interface StreamWriterOptions {
  readonly folder: string;
  readonly durability: Durability;
  /** The journal is rewritten when it is twice as long as it was the last time, and this. */
  readonly compactSlackBytes: number;
}

/** What a COMMIT says, less what only the writer knows. */
export type CommitFields = Omit<Row<typeof COMMIT>, "slots" | "pfns" | "sync_ms" | "lag_bytes">;

interface Parts extends StreamWriterOptions {
  readonly files: StreamFiles;
  readonly journalFd: Fd;
  readonly pagesFd: Fd;
  readonly createdMs: number;
  readonly place: JournalPlace;
  readonly points: readonly RestorePoint[];
}

const FIRST_PLACE: JournalPlace = { position: FILE_HEADER_BYTES, number: 1 };

export class StreamWriter implements Disposable {
  readonly files: StreamFiles;
  readonly pages: PageFile;
  readonly slots = new SlotMap();
  readonly index = new PageIndex("u32");
  readonly journal: JournalWriter;
  /** Those of this stream that stand in the journal. */
  points: RestorePoint[];
  private readonly createdMs: number;
  private readonly folder: string;
  private readonly isDurable: boolean;
  private readonly compactSlackBytes: number;
  private readonly pagesFd: Fd;
  private journalFd: Fd;
  /** Up to which round the slots that it replaced have been freed. */
  private releasedRound = 0;
  private compactedBytes: number | undefined;
  private isOpen = true;

  constructor(parts: Parts) {
    const { folder, durability, files, journalFd, pagesFd, place, points } = parts;
    this.folder = folder;
    this.compactSlackBytes = parts.compactSlackBytes;
    this.isDurable = durability === "disk";
    this.files = files;
    this.createdMs = parts.createdMs;
    this.journalFd = journalFd;
    this.pagesFd = pagesFd;
    this.journal = new JournalWriter(journalFd, place);
    this.pages = new PageFile(pagesFd, this.isDurable);
    this.points = [...points];
  }

  /** Makes the round count. `measure` tells how long the pages took, and what waits meanwhile. */
  commit(fields: CommitFields, measure: () => Measured): RestorePoint {
    if (this.isDurable) syncData(this.pagesFd);
    const { syncMs, lagBytes } = measure();
    const row = {
      ...fields,
      slots: this.slots.size,
      pfns: this.index.count,
      sync_ms: clamp(syncMs),
      lag_bytes: clamp(lagBytes),
    };
    this.journal.append(KIND.commit, COMMIT, row);
    this.journal.flush();
    if (this.isDurable) syncData(this.journalFd);
    this.slots.settle();
    const journalStart = this.points.at(-1)?.journalEnd ?? FIRST_PLACE;
    const journalEnd = this.journal.place;
    const point = pointOf(row, { stream: this.files.stream, journalStart, journalEnd });
    this.points.push(point);
    return point;
  }

  /** Gives up points before `oldest`. Not while somebody reads page contents. */
  release(oldest: number): void {
    const given = this.points.filter(({ number }) => number < oldest);
    // A point is given up: what the round behind it replaced is needed by nobody.
    const last = this.points[given.length];
    if (last === undefined || last.round <= this.releasedRound) return;
    const rounds = this.points.filter(
      ({ round }) => round > this.releasedRound && round <= last.round,
    );
    for (const point of rounds) this.releaseRound(point);
    this.releasedRound = last.round;
    this.points = this.points.slice(given.length);
  }

  private releaseRound({ journalStart, journalEnd }: RestorePoint): void {
    using reader = this.readerOf(journalStart, journalEnd);
    while (reader.next()) {
      if (reader.kind !== KIND.batch) continue;
      const { words, replaced, replacedAt } = batchOf(reader);
      for (let at = replacedAt; at < replacedAt + replaced; at++) this.slots.free(words[at]!);
    }
    assert(reader.stopped === undefined, "what was committed can be read again");
  }

  private readerOf(start: JournalPlace, end: JournalPlace): JournalReader {
    const reader = new JournalReader(this.journalFd, end.position);
    reader.seek(start.position, start.number);
    return reader;
  }

  /** Rewrites the journal if much of it is needed by nobody. Only behind a commit. */
  compactIfDue(): void {
    const { position } = this.journal.place;
    this.compactedBytes ??= position;
    if (position < 2 * this.compactedBytes + this.compactSlackBytes) return;
    const [oldest] = this.points;
    // Everything is needed, or somebody reads: it may be otherwise when it has grown again.
    if (oldest === undefined || oldest.round !== this.releasedRound || oldest.round === 1) {
      this.compactedBytes = position;
      return;
    }
    this.compact(oldest.round);
  }

  private compact(round: number): void {
    const { files, journalFd: source, journal, createdMs } = this;
    const path = `${files.journal}.new`;
    let target: Fd | undefined;
    let compacted: Compacted;
    try {
      removeFile(path);
      target = createFile(path);
      const until = journal.place.position;
      const { stream } = files;
      compacted = compactJournal({ source, target, until, round, stream, createdMs });
      if (this.isDurable) syncFile(target);
      renameFile(path, files.journal);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The old one counts as it stands: a disk too full for a second one costs only space.
      target?.[Symbol.dispose]();
      removeFile(path);
      this.compactedBytes = journal.place.position;
      return;
    }
    target.name = files.journal;
    this.journalFd = target;
    journal.switchTo(target, compacted.place);
    source[Symbol.dispose]();
    this.points = [...compacted.points];
    this.compactedBytes = compacted.place.position;
    if (this.isDurable) syncFolder(this.folder);
  }

  /** Lets go of the files. What was never committed is cut off, or the files with it. */
  [Symbol.dispose](): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.journal[Symbol.dispose]();
    if (this.points.length === 0) removeStream(this.files);
    else cutTail(this, { journal: this.journalFd, pages: this.pagesFd });
    this.journalFd[Symbol.dispose]();
    this.pagesFd[Symbol.dispose]();
  }

  /** Lets go of the files as they are: another process goes on with them. */
  abandon(): void {
    this.isOpen = false;
    this.journal[Symbol.dispose]();
    this.journalFd[Symbol.dispose]();
    this.pagesFd[Symbol.dispose]();
  }

  // ---- Taken over -----------------------------------------------------------------------------

  /** Makes index and slots anew from the journal. `released`: the oldest point's round. */
  rebuild(released: number): void {
    const { index, slots } = this;
    const last = this.points.at(-1);
    assert(last, "a stream that is taken over has a point");
    using reader = new JournalReader(this.journalFd, last.journalEnd.position);
    while (reader.next()) {
      if (reader.kind !== KIND.batch) continue;
      const batch = batchOf(reader);
      let slotAt = batch.slotsAt;
      for (let entry = 0; entry < batch.entries; entry++) {
        const at = batch.entriesAt + entry * 2;
        const { hasData } = PAGE_TYPES[batch.words[at + 1]! >>> TYPE_SHIFT]!;
        const value = hasData ? batch.words[slotAt++]! + FIRST_SLOT_VALUE : NO_CONTENTS;
        index.set(pfnAt(batch.words, at), value);
      }
      if (batch.round <= released) continue;
      const { replacedAt } = batch;
      for (let at = replacedAt; at < replacedAt + batch.replaced; at++) {
        slots.adopt(batch.words[at]!);
      }
    }
    assert(reader.stopped === undefined, "a journal that was scanned can be read again");
    index.forEach((_, value) => {
      if (value >= FIRST_SLOT_VALUE) slots.adopt(value - FIRST_SLOT_VALUE);
    });
    slots.extendTo(last.slots);
    this.releasedRound = released;
  }
}

export interface Measured {
  readonly syncMs: number;
  readonly lagBytes: number;
}

const clamp = (value: number): number => Math.max(0, Math.min(0xffff_ffff, Math.round(value)));

/** Begins a stream: its files are there for good, and empty. */
export function createStream(
  options: StreamWriterOptions,
  { stream, createdMs }: { readonly stream: number; readonly createdMs: number },
): StreamWriter {
  const { folder, durability } = options;
  const files = filesOf(folder, stream);
  const pagesFd = createFile(files.pages);
  const journalFd = createFile(files.journal);
  const place = writeFileHeader(journalFd, { stream, createdMs });
  if (durability === "disk") {
    syncFile(pagesFd);
    syncFile(journalFd);
    syncFolder(folder);
  }
  return new StreamWriter({
    ...options,
    files,
    createdMs,
    journalFd,
    pagesFd,
    place,
    points: [],
  });
}

/** Goes on with a stream behind its last commit. */
export function reopenStream(
  options: StreamWriterOptions,
  { files, end, points, start }: ScannedStream,
): StreamWriter {
  assert(start, "a stream with points has a header");
  const { createdMs } = start;
  const journalFd = openFile(files.journal);
  const pagesFd = openFile(files.pages);
  const place = end;
  return new StreamWriter({ ...options, files, createdMs, journalFd, pagesFd, place, points });
}

/** Cuts off what stands behind the last commit: part of a round that never counted. */
function cutTail(
  { points }: { readonly points: readonly RestorePoint[] },
  { journal, pages }: { readonly journal: Fd; readonly pages: Fd },
): void {
  const last = points.at(-1);
  if (last === undefined) return;
  try {
    resizeFile(journal, last.journalEnd.position);
    resizeFile(pages, last.slots * SLOT_BYTES);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error; // The next one who writes here cuts it off.
  }
}
