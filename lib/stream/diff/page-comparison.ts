// Compares the last versions of all pages: A's places are known, B is walked once more, and where
// both have contents they are compared byte by byte, in runs as long as they stand in the same
// order in both. A hole (XTAB) is no page.

import { assert, RefusedError } from "../../base/index.ts";
import { type Finding, StreamError } from "../../bytes/index.ts";
import { borrow, type Loan, readAt } from "../../sys/index.ts";
import { fateOf, type PageEntry, PageReader, tooScattered, TYPE_HOLE } from "../final/index.ts";
import type { StoredInput } from "../input/index.ts";
import { PAGE_BYTES, PAGE_TYPES } from "../libxc/index.ts";
import type { PageIndex } from "../page-index.ts";
import type { PfnList, StreamRecord, Visitor, Want } from "../walk/index.ts";

/** Compared at once. */
const RUN_BYTES_MAX = 256 * 1024;
const RUN_PAGES_MAX = RUN_BYTES_MAX / PAGE_BYTES;
const PLACE_UNIT_BYTES = 8;
const TYPES = 16;

export type Change = "changed" | "retyped" | "added" | "gone";
/** Runs of pfns that are told one by one. */
const RUNS_KEPT = 200;

export interface PageRun {
  readonly change: Change;
  readonly first: number;
  last: number;
}

/** A page's place in 48 bits: its type, and where its contents stand in steps of 8 bytes. */
const placeOf = ({ type, contentsOffset }: PageEntry): number =>
  Math.floor(contentsOffset / PLACE_UNIT_BYTES) * TYPES + type;

const PLACE_MAX = 2 ** 48 - 1;

/** Puts a page's place in. Throws RefusedError where the stream is too long or too scattered. */
export function indexPlace(index: PageIndex, entry: PageEntry, cannot: string): void {
  const place = placeOf(entry);
  if (place > PLACE_MAX) throw new RefusedError(`${cannot}: it is longer than 128 TiB`);
  if (!index.set(entry.pfn, place)) throw tooScattered(index, entry, cannot);
}

const typeOf = (place: number): number => (place === 0 ? TYPE_HOLE : place % TYPES);

export interface PageComparisonOptions {
  readonly a: StoredInput;
  readonly b: StoredInput;
  /** placeOf the last entry of each pfn of A. */
  readonly places: PageIndex;
  /** An image begins at any byte: of A's, modulo the unit of places. */
  readonly slack: number;
  /** The number of the last entry of each pfn of B. */
  readonly ordinals: PageIndex;
}

/** Counts by type. */
export type TypeCounts = Float64Array;
const newCounts = (): TypeCounts => new Float64Array(TYPES);

export class PageComparison implements Visitor, Disposable {
  readonly a = newCounts();
  readonly b = newCounts();
  readonly same = newCounts();
  readonly changed = newCounts();
  /** By B's type. */
  readonly retyped = newCounts();
  readonly added = newCounts();
  readonly gone = newCounts();
  /** From A's type to B's, as from * 16 + to. */
  readonly retypes = new Float64Array(TYPES * TYPES);
  readonly runs: PageRun[] = [];
  runsLeftOff = 0;
  private readonly options: PageComparisonOptions;
  private readonly reader: PageReader;
  private readonly loanA: Loan = borrow(RUN_BYTES_MAX);
  private readonly loanB: Loan = borrow(RUN_BYTES_MAX);
  private readonly left = bufferOf(this.loanA);
  private readonly right = bufferOf(this.loanB);
  private readonly lastRuns = new Map<Change, PageRun>();
  // Pages to compare, which follow each other in both streams.
  private runA = 0;
  private runB = 0;
  private runPages = 0;
  private readonly runPfns = new Float64Array(RUN_PAGES_MAX);
  private readonly runTypes = new Uint8Array(RUN_PAGES_MAX);

  constructor(options: PageComparisonOptions) {
    this.options = options;
    this.reader = new PageReader((entry) => this.entry(entry));
  }

  header(): void {}

  record(record: StreamRecord): Want {
    this.reader.begin(record);
    return fateOf(record) === "pages" && !this.reader.isVerifying ? "head" : "nothing";
  }

  body(): void {}

  pfns(record: StreamRecord, list: PfnList): void {
    this.reader.pfns(record, list);
  }

  private entry(entry: PageEntry): void {
    const { places, ordinals } = this.options;
    const { pfn, type } = entry;
    if (ordinals.get(pfn) !== entry.ordinal) return;
    const place = places.get(pfn);
    const before = typeOf(place);
    if (type === TYPE_HOLE) {
      if (before !== TYPE_HOLE) this.noteGone(pfn, before);
      return;
    }
    this.b[type]!++;
    if (before === TYPE_HOLE) {
      this.added[type]!++;
      this.note("added", pfn);
    } else if (before !== type) {
      this.retyped[type]!++;
      this.retypes[before * TYPES + type]!++;
      this.note("retyped", pfn);
    } else if (entry.hasData) this.compareLater(entry, place);
    else this.same[type]!++;
  }

  /** Without an object a page: there are millions of them. */
  private compareLater({ pfn, type, contentsOffset }: PageEntry, place: number): void {
    const inA = Math.floor(place / TYPES) * PLACE_UNIT_BYTES + this.options.slack;
    const bytes = this.runPages * PAGE_BYTES;
    const goesOn = inA === this.runA + bytes && contentsOffset === this.runB + bytes;
    if (!goesOn || this.runPages === RUN_PAGES_MAX) {
      this.compareRun();
      this.runA = inA;
      this.runB = contentsOffset;
    }
    this.runPfns[this.runPages] = pfn;
    this.runTypes[this.runPages] = type;
    this.runPages++;
  }

  private compareRun(): void {
    const { a, b } = this.options;
    const bytes = this.runPages * PAGE_BYTES;
    if (bytes === 0) return;
    readContents(a, this.loanA, { fileOffset: this.runA, bytes });
    readContents(b, this.loanB, { fileOffset: this.runB, bytes });
    const { left, right } = this;
    const isSame = left.compare(right, 0, bytes, 0, bytes) === 0;
    for (let index = 0; index < this.runPages; index++) {
      const at = index * PAGE_BYTES;
      const type = this.runTypes[index]!;
      if (isSame || left.compare(right, at, at + PAGE_BYTES, at, at + PAGE_BYTES) === 0) {
        this.same[type]!++;
      } else {
        this.changed[type]!++;
        this.note("changed", this.runPfns[index]!);
      }
    }
    this.runPages = 0;
  }

  private noteGone(pfn: number, type: number): void {
    this.gone[type]!++;
    this.note("gone", pfn);
  }

  private note(change: Change, pfn: number): void {
    const last = this.lastRuns.get(change);
    if (last?.last === pfn - 1) last.last = pfn;
    else {
      const run = { change, first: pfn, last: pfn };
      this.lastRuns.set(change, run);
      if (this.runs.length < RUNS_KEPT) this.runs.push(run);
      else this.runsLeftOff++;
    }
  }

  pages(): void {}

  recordEnd(record: StreamRecord): void {
    this.reader.end(record);
  }

  checkpoint(): void {}

  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }

  /** Behind the walk: what A has and B has not. */
  finish(): void {
    this.compareRun();
    const { places, ordinals } = this.options;
    places.forEach((pfn, place) => {
      // Of what B names too the walk has told.
      const type = typeOf(place);
      if (type !== TYPE_HOLE && ordinals.get(pfn) === 0) this.noteGone(pfn, type);
    });
    for (let type = 0; type < TYPES; type++) {
      const before = this.same[type]! + this.changed[type]!;
      let retyped = 0;
      for (let to = 0; to < TYPES; to++) retyped += this.retypes[type * TYPES + to]!;
      this.a[type] = before + retyped + this.gone[type]!;
    }
  }

  [Symbol.dispose](): void {
    this.loanA[Symbol.dispose]();
    this.loanB[Symbol.dispose]();
  }
}

function readContents(
  input: StoredInput,
  { region }: Loan,
  { fileOffset, bytes }: { readonly fileOffset: number; readonly bytes: number },
): void {
  assert(bytes <= region.length, "a run fits into its buffer");
  if (readAt(input.file, region.address, bytes, fileOffset) === bytes) return;
  throw new RefusedError(`Cannot read "${input.name}": it was cut short meanwhile`);
}

const bufferOf = ({ region: { bytes } }: Loan): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const typeName = (type: number): string => PAGE_TYPES[type]!.name;
