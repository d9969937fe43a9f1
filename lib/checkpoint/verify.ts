// Verifies a folder: every record of its journals, and every page that a restore point needs,
// against its checksum.

import { crc32 } from "node:zlib";
import { assert, hex } from "../base/index.ts";
import { PAGE_TYPES, PageIndex, TYPE_SHIFT } from "../stream/index.ts";
import { borrow, type Fd, type Loan, openForReading, readAt } from "../sys/index.ts";
import { filesOf, lockForReading } from "./folder.ts";
import { JournalReader } from "./journal-reader.ts";
import type { JournalPlace } from "./journal-writer.ts";
import { FILE_HEADER_BYTES, KIND, SLOT_BYTES } from "./layout.ts";
import { type Batch, batchOf, indexBatch, liveAt, pfnAt } from "./live-entries.ts";
import { type RestorePoint, scanFolder, scanJournal, type ScannedFolder } from "./points.ts";

const PROGRESS_PAGES = 256;
const FIRST_PLACE: JournalPlace = { position: FILE_HEADER_BYTES, number: 1 };

export interface FolderProblem {
  readonly stream: number;
  readonly file: string;
  readonly offset: number;
  readonly problem: string;
  /** Restore points that it spoils; undefined where those that are listed are all good. */
  readonly points: { readonly first: number; readonly last: number } | undefined;
}

export interface FolderCheck {
  readonly folder: ScannedFolder;
  /** Page contents that were read. */
  readonly pages: number;
  readonly badPages: number;
  /** At most `limit` of them. */
  readonly problems: readonly FolderProblem[];
  /** What a crash has left behind the last commit of a journal: no problem. */
  readonly tails: readonly string[];
}

export interface FolderCheckOptions {
  readonly limit: number;
  readonly onProgress: (bytes: number) => void;
}

/** Throws RefusedError, SystemError, and StreamError for what is no journal at all. */
export function verifyFolder(path: string, options: FolderCheckOptions): FolderCheck {
  using _ = lockForReading(path);
  const folder = scanFolder(path);
  using checker = new Checker(folder, options);
  for (const { files } of folder.streams) checker.stream(files.stream);
  return checker.result();
}

/** The journal and page file of one stream, and its points that are kept. */
interface Stream {
  readonly number: number;
  readonly journal: Fd;
  readonly pages: Fd;
  readonly points: readonly RestorePoint[];
}

/** Where a page stands, and since when. */
interface PageAt {
  readonly pfn: number;
  readonly slot: number;
  readonly check: number;
  /** Index in the stream's points of the first one that needs it. */
  readonly since: number;
}

class Checker implements Disposable {
  private readonly folder: ScannedFolder;
  private readonly options: FolderCheckOptions;
  private readonly problems: FolderProblem[] = [];
  private readonly tails: string[] = [];
  private readonly loan: Loan = borrow(SLOT_BYTES);
  private pages = 0;
  private badPages = 0;

  constructor(folder: ScannedFolder, options: FolderCheckOptions) {
    this.folder = folder;
    this.options = options;
  }

  stream(number: number): void {
    const files = filesOf(this.folder.path, number);
    using journal = openForReading(files.journal);
    // Scanned again: it may have been rewritten since the folder was looked at.
    const { points, tail, isDamaged, end } = scanJournal(files, journal);
    if (isDamaged) {
      const problem = `${tail}, and whole commits behind it`;
      const place = { file: files.journal, offset: end.position, points: undefined };
      this.add({ stream: number, ...place, problem });
    } else if (tail !== undefined) this.tails.push(`${files.journal}: ${tail}`);
    const first = this.folder.points.find((point) => point.stream === number)?.number;
    const kept = points.filter((point) => first !== undefined && point.number >= first);
    if (kept.length === 0) return;
    using pages = openForReading(files.pages);
    this.contents({ number, journal, pages, points: kept });
  }

  /** What counts at the oldest point, then what each round behind it has brought. */
  private contents(stream: Stream): void {
    const { journal, points } = stream;
    const [oldest] = points;
    assert(oldest, "a stream that is looked at has a point");
    const until = oldest.journalEnd;
    const { index } = liveAt(journal, until.position, oldest.round);
    this.range(stream, { start: FIRST_PLACE, end: until, index, since: 0 });
    for (let since = 1; since < points.length; since++) {
      const { journalStart: start, journalEnd: end } = points[since]!;
      this.range(stream, { start, end, index: lastOfRound(journal, start, end), since });
    }
  }

  private range(
    stream: Stream,
    range: {
      readonly start: JournalPlace;
      readonly end: JournalPlace;
      readonly index: PageIndex;
      readonly since: number;
    },
  ): void {
    const { start, end, index, since } = range;
    using reader = new JournalReader(stream.journal, end.position);
    reader.seek(start.position, start.number);
    let ordinal = 0;
    while (reader.next()) {
      if (reader.kind !== KIND.batch) continue;
      const batch = batchOf(reader);
      this.batch(stream, batch, { index, ordinal, since });
      ordinal += batch.entries;
    }
  }

  private batch(
    stream: Stream,
    { words, entries, entriesAt, slotsAt, checksAt }: Batch,
    from: { readonly index: PageIndex; readonly ordinal: number; readonly since: number },
  ): void {
    let contents = 0;
    for (let entry = 0; entry < entries; entry++) {
      const at = entriesAt + entry * 2;
      if (!PAGE_TYPES[words[at + 1]! >>> TYPE_SHIFT]!.hasData) continue;
      const pfn = pfnAt(words, at);
      if (from.index.get(pfn) === from.ordinal + entry + 1) {
        const slot = words[slotsAt + contents]!;
        this.page(stream, { pfn, slot, check: words[checksAt + contents]!, since: from.since });
      }
      contents++;
    }
  }

  private page(stream: Stream, page: PageAt): void {
    const { address, bytes } = this.loan.region;
    const offset = page.slot * SLOT_BYTES;
    const got = readAt(stream.pages, address, SLOT_BYTES, offset);
    const found = crc32(bytes.subarray(0, got));
    this.pages++;
    if (this.pages % PROGRESS_PAGES === 0) this.options.onProgress(this.pages * SLOT_BYTES);
    if (got === SLOT_BYTES && found === page.check) return;
    this.badPages++;
    if (this.problems.length >= this.options.limit) return;
    const wanted = `a page (pfn ${hex(page.pfn)}) with CRC-32 ${hex(page.check)}`;
    const what = got === SLOT_BYTES ? hex(found) : "the end of the file";
    const points = spoiled(stream, page);
    const place = { stream: stream.number, file: stream.pages.name, offset, points };
    this.add({ ...place, problem: `expected ${wanted}, found ${what}` });
  }

  private add(problem: FolderProblem): void {
    if (this.problems.length < this.options.limit) this.problems.push(problem);
  }

  result(): FolderCheck {
    const { folder, pages, badPages, problems, tails } = this;
    return { folder, pages, badPages, problems, tails };
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}

/** The last entry of each pfn within one round: it has left the slots of others to whoever came. */
function lastOfRound(journal: Fd, start: JournalPlace, end: JournalPlace): PageIndex {
  const index = new PageIndex("u32");
  using reader = new JournalReader(journal, end.position);
  reader.seek(start.position, start.number);
  let ordinal = 0;
  while (reader.next()) {
    if (reader.kind === KIND.batch) ordinal = indexBatch(index, batchOf(reader), ordinal);
  }
  return index;
}

/** The points that need a page: from its round to before the one that brought another. */
function spoiled({ journal, points }: Stream, { pfn, since }: PageAt) {
  let last = since;
  for (; last + 1 < points.length; last++) {
    const { journalStart, journalEnd } = points[last + 1]!;
    if (lastOfRound(journal, journalStart, journalEnd).get(pfn) !== 0) break;
  }
  return { first: points[since]!.number, last: points[last]!.number };
}
