// A restore point as a plain stream: byte for byte what squash makes of the received stream, cut at
// that checkpoint. The order is that of the stream; see lib/stream/squash/image-writer.ts.
//
//   headers, config, static data    as they are
//   batch, all of it counts         as it is
//   batch, part of it counts        those entries are gathered into new batches
//   state of the last round         what counts of it, in its place
//   state of rounds before it       what still counts, before END
//   libxl's records behind it       those of the last round
//
// Every page is checked against its checksum before it goes out.

import { crc32 } from "node:zlib";
import { assert, hex, RefusedError } from "../base/index.ts";
import { type Sink, StreamError } from "../bytes/index.ts";
import {
  BATCH_PFNS_MAX,
  beginRecord,
  LIBXC,
  LIBXL,
  NO_TAIL,
  PageBatch,
  PAGE_TYPES,
  TYPE_SHIFT,
  writeRecord,
} from "../stream/index.ts";
import { borrow, type Fd, type Loan, openForReading, readAt } from "../sys/index.ts";
import { filesOf, lockForReading } from "./folder.ts";
import { JournalReader, type JournalRecord } from "./journal-reader.ts";
import {
  BATCH_ENTRIES_MAX,
  BATCH_INTACT_MASK,
  BATCH_LARGE_MASK,
  ITEM_HEAD_BYTES,
  ITEM_KIND,
  KIND,
  RECORD_HEADER_BYTES,
  SLOT_BYTES,
} from "./layout.ts";
import { type Batch, batchOf, itemOf, type Live, liveAt, pfnAt } from "./live-entries.ts";
import { type RestorePoint, scanFolder, scanJournal } from "./points.ts";

/** Small enough that what was read is still in the processor's cache when it is written. */
const BUFFER_BYTES = 256 * 1024;
const HAS_DATA = PAGE_TYPES.map(({ hasData }) => hasData);

/** A restore point with its files open, which nobody takes away meanwhile. */
export interface OpenPoint extends Disposable {
  readonly point: RestorePoint;
  readonly journal: Fd;
  readonly pages: Fd;
}

/**
 * Opens a restore point, the last one where no number is given. Throws RefusedError where there is
 * none.
 */
export function openPoint(folder: string, number: number | undefined): OpenPoint {
  using owned = new DisposableStack();
  owned.use(lockForReading(folder));
  const { points } = scanFolder(folder);
  const wanted = number === undefined ? points.at(-1) : points.find((p) => p.number === number);
  if (wanted === undefined) throw noSuchPoint(folder, number, points);
  const files = filesOf(folder, wanted.stream);
  const journal = owned.use(openForReading(files.journal));
  const pages = owned.use(openForReading(files.pages));
  // The journal may have been rewritten since: places in it are those of the one that is open.
  const point = scanJournal(files, journal).points.find((p) => p.number === wanted.number);
  if (point === undefined) throw noSuchPoint(folder, wanted.number, points);
  const rest = owned.move();
  return { point, journal, pages, [Symbol.dispose]: () => rest.dispose() };
}

function noSuchPoint(
  folder: string,
  number: number | undefined,
  points: readonly RestorePoint[],
): RefusedError {
  const [first, last] = [points[0]?.number, points.at(-1)?.number];
  const has =
    first === undefined || last === undefined
      ? "it has none"
      : first === last
        ? `it has number ${first}`
        : `it has numbers ${first} to ${last}`;
  const wanted = number === undefined ? "a restore point" : `restore point ${number}`;
  return new RefusedError(`Cannot read ${wanted} of "${folder}": ${has}`);
}

export interface RestoreOptions {
  readonly sink: Sink;
  /** Bytes written so far. */
  readonly onProgress: (position: number) => void;
}

/** Throws StreamError where a page is not what was received, RefusedError, SystemError. */
export function restorePoint(open: OpenPoint, { sink, onProgress }: RestoreOptions): void {
  const { journal, pages, point } = open;
  const until = point.journalEnd.position;
  const live = liveAt(journal, until, point.round);
  using writer = new PointWriter({ journal, pages, live, point, sink });
  using reader = new JournalReader(journal, until);
  while (reader.next()) {
    writer.record(reader);
    onProgress(sink.position);
  }
  writer.finish();
}

interface PointWriterParts {
  readonly journal: Fd;
  readonly pages: Fd;
  readonly live: Live;
  readonly point: RestorePoint;
  readonly sink: Sink;
}

class PointWriter implements Disposable {
  private readonly parts: PointWriterParts;
  private readonly loan: Loan = borrow(BUFFER_BYTES);
  private readonly pending = new PageBatch();
  /** Checksums of the contents in `pending`, in its order, and how many were compared. */
  private readonly checks = new Uint32Array(BATCH_ENTRIES_MAX);
  private checkCount = 0;
  private checked = 0;
  /** Scratch: which entries of the batch at hand count; and one of them. */
  private readonly liveEntries = new Uint32Array(BATCH_ENTRIES_MAX);
  private readonly found = { pfn: 0, type: 0, hasData: false, ordinal: 0, contentsOffset: 0 };
  /** Each page of the buffer. */
  private readonly bufferPages: readonly Uint8Array[];
  private ordinal = 0;
  private kept = 0;
  private isLibxcOver = false;
  /** What becomes of the item that the record goes on with. */
  private inside: "written" | "deferred" | "dropped" | undefined;
  private readonly deferred: { readonly fileOffset: number; readonly bytes: number }[] = [];
  private heldBytes = 0;

  constructor(parts: PointWriterParts) {
    this.parts = parts;
    const { bytes } = this.loan.region;
    this.bufferPages = Array.from({ length: BUFFER_BYTES / SLOT_BYTES }, (_, page) =>
      bytes.subarray(page * SLOT_BYTES, (page + 1) * SLOT_BYTES),
    );
  }

  record(record: JournalRecord): void {
    if (record.kind === KIND.item) this.item(record);
    else if (record.kind === KIND.batch) this.batch(batchOf(record));
  }

  // ---- Items ----------------------------------------------------------------------------------

  private item(record: JournalRecord): void {
    const { continues } = itemOf(record);
    const fate = this.inside ?? this.fateOf(record);
    if (fate === "written") {
      this.flushPending();
      const from = record.at + ITEM_HEAD_BYTES;
      this.parts.sink.write(record.bytes.subarray(from, record.at + record.bodyBytes));
    } else if (fate === "deferred") {
      this.deferred.push({
        fileOffset: record.fileOffset + RECORD_HEADER_BYTES + ITEM_HEAD_BYTES,
        bytes: record.bodyBytes - ITEM_HEAD_BYTES,
      });
    }
    this.inside = continues ? fate : undefined;
  }

  private fateOf(record: JournalRecord): "written" | "deferred" | "dropped" {
    const { item, round } = itemOf(record);
    const { point, live } = this.parts;
    if (item === ITEM_KIND.raw) return "written";
    const isLast = round === point.round;
    if (item === ITEM_KIND.tail) {
      if (isLast) this.endLibxc();
      return isLast ? "written" : "dropped";
    }
    if (!live.states.has(record.number)) return "dropped";
    return isLast ? "written" : "deferred";
  }

  private endLibxc(): void {
    if (this.isLibxcOver) return;
    this.isLibxcOver = true;
    this.flushPending();
    const { sink, journal } = this.parts;
    for (const { fileOffset, bytes } of this.deferred) {
      const got = sink.copyFile(journal, { fileOffset, bytes });
      assert(got === bytes, "what was read of the journal can be read again");
    }
    writeRecord(sink, LIBXC.end, {}, NO_TAIL);
  }

  finish(): void {
    this.endLibxc();
    writeRecord(this.parts.sink, LIBXL.end, {}, NO_TAIL);
    assert(this.kept === this.parts.live.index.count, "every pfn is written once");
  }

  // ---- Pages ----------------------------------------------------------------------------------

  private batch(batch: Batch): void {
    const { index } = this.parts.live;
    const { words, entriesAt, entries } = batch;
    const { liveEntries, ordinal } = this;
    let liveCount = 0;
    for (let entry = 0; entry < entries; entry++) {
      const pfn = pfnAt(words, entriesAt + entry * 2);
      if (index.get(pfn) === ordinal + entry + 1) liveEntries[liveCount++] = entry;
    }
    this.ordinal += entries;
    this.kept += liveCount;
    const isIntact = (batch.flags & BATCH_INTACT_MASK) !== 0 && liveCount === entries;
    const isLarge = (batch.flags & BATCH_LARGE_MASK) !== 0;
    if (isIntact || (!isLarge && this.pending.count + liveCount > BATCH_PFNS_MAX)) {
      this.flushPending();
    }
    if (isIntact && batch.headReserved !== 0) this.writeOdd(batch);
    else if (liveCount > 0) this.gather(batch, liveCount);
    if (isIntact) this.flushPending();
  }

  private gather({ words, entriesAt, entries, slotsAt, checksAt }: Batch, liveCount: number): void {
    const { liveEntries, found } = this;
    let contents = 0;
    let next = 0;
    for (let entry = 0; entry < entries && next < liveCount; entry++) {
      const at = entriesAt + entry * 2;
      const type = words[at + 1]! >>> TYPE_SHIFT;
      const hasData = HAS_DATA[type]!;
      if (liveEntries[next] === entry) {
        next++;
        if (this.pending.isFull) this.flushPending();
        found.pfn = pfnAt(words, at);
        found.type = type;
        found.hasData = hasData;
        found.contentsOffset = hasData ? words[slotsAt + contents]! * SLOT_BYTES : 0;
        this.pending.add(found);
        if (hasData) this.checks[this.checkCount++] = words[checksAt + contents]!;
      }
      if (hasData) contents++;
    }
  }

  /** An untouched batch whose head has bits set that no reader looks at. */
  private writeOdd({ words, entriesAt, entries, headReserved, ...batch }: Batch): void {
    const { sink } = this.parts;
    const list = new Uint8Array(words.buffer, words.byteOffset + entriesAt * 4, entries * 8);
    const head = { count: entries, reserved: headReserved };
    beginRecord(sink, LIBXC.pageData, head, entries * 8 + batch.contents * SLOT_BYTES);
    sink.write(list);
    for (let index = 0; index < batch.contents; index++) {
      this.checks[this.checkCount++] = words[batch.checksAt + index]!;
      this.copyPages(words[batch.slotsAt + index]! * SLOT_BYTES, SLOT_BYTES);
    }
    this.endPages();
  }

  private flushPending(): void {
    this.pending.flush(this.parts.sink, (fileOffset, bytes) => this.copyPages(fileOffset, bytes));
    this.endPages();
  }

  /** Pages go through a buffer: they are checked there, and small runs go out together. */
  private copyPages(fileOffset: number, bytes: number): void {
    for (let done = 0; done < bytes;) {
      if (this.heldBytes === BUFFER_BYTES) this.writeHeld();
      const step = Math.min(bytes - done, BUFFER_BYTES - this.heldBytes);
      const { pages } = this.parts;
      const from = fileOffset + done;
      const got = readAt(pages, this.loan.region.address + this.heldBytes, step, from);
      if (got < step) throw new RefusedError(`Cannot read "${pages.name}": it is cut short`);
      this.heldBytes += step;
      this.check(from, this.heldBytes - step, step);
      done += step;
    }
  }

  private check(fileOffset: number, at: number, bytes: number): void {
    for (let done = 0; done < bytes; done += SLOT_BYTES) {
      const found = crc32(this.bufferPages[(at + done) / SLOT_BYTES]!);
      const expected = this.checks[this.checked++]!;
      if (found !== expected) this.damaged(fileOffset + done, expected, found);
    }
  }

  private endPages(): void {
    assert(this.checked === this.checkCount, "every page is checked");
    this.checked = 0;
    this.checkCount = 0;
    this.writeHeld();
  }

  private writeHeld(): void {
    if (this.heldBytes === 0) return;
    this.parts.sink.write(this.loan.region.bytes.subarray(0, this.heldBytes));
    this.heldBytes = 0;
  }

  private damaged(fileOffset: number, expected: number, found: number): never {
    throw new StreamError({
      layer: "checkpoint",
      record: this.parts.pages.name,
      recordNumber: 0,
      severity: "error",
      strict: true,
      field: "page",
      fileOffset,
      expected: `a page with CRC-32 ${hex(expected)}`,
      found: hex(found),
    });
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
