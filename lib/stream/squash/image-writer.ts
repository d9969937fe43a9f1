// The third walk: writes the image. The output is the input in its own order, less what is cut out
// of it: what stands between two cuts goes over in one piece, from file to file within the kernel.
// A stream without anything to cut comes out as it went in.
//
//   batch whose entries all count            stays as it is
//   batch with entries that do not count     is cut; those that do are gathered into new batches
//   CHECKPOINT of the last round             is cut; END takes its place
//   CHECKPOINT_END of the last round         is cut; libxl's END takes its place
//   the rest                                 stays or is cut, as ../final/choose.ts says

import { assert, RefusedError, roundUp } from "../../base/index.ts";
import { type Finding, type Sink, StreamError } from "../../bytes/index.ts";
import { type Chooser, fateOf, isBatch, type PageEntry, PageReader } from "../final/index.ts";
import type { StoredInput } from "../input/index.ts";
import { LIBXC } from "../libxc/index.ts";
import { LIBXL } from "../libxl/index.ts";
import type { PageIndex } from "../page-index.ts";
import type { PfnList, StreamRecord, Visitor, Want } from "../walk/index.ts";
import { NO_TAIL, writeRecord } from "../write/index.ts";
import { BATCH_PFNS_MAX, PageBatch } from "./page-batch.ts";

/** Copied at once, so that a rate limit and progress see it. */
const STEP_BYTES = 8 * 1024 * 1024;

export interface ImageWriterOptions {
  readonly input: StoredInput;
  readonly sink: Sink;
  readonly chooser: Chooser;
  /** The number of the last entry of each pfn. */
  readonly index: PageIndex;
  /** A libxl stream that is cut at a checkpoint gets an END. */
  readonly endsLibxl: boolean;
  readonly onProgress: (position: number) => void;
}

export class ImageWriter implements Visitor {
  /** Entries written, and those of them with contents. */
  pagesKept = 0;
  pagesWithData = 0;
  private readonly options: ImageWriterOptions;
  private readonly reader: PageReader;
  /** What stands before this offset has been copied or cut. */
  private from: number;
  private rounds = 0;
  /** The entries that count of the batch at hand, until it is known whether all of them do. */
  private readonly current = new PageBatch();
  private readonly pending = new PageBatch();
  private batchCount = 0;
  /** State that only an earlier round had: it follows the pages of all rounds. */
  private readonly deferred: StreamRecord[] = [];

  constructor(options: ImageWriterOptions) {
    this.options = options;
    this.from = options.input.start;
    this.reader = new PageReader((entry) => this.entry(entry));
  }

  header(): void {}

  record(record: StreamRecord): Want {
    this.reader.begin(record);
    const { chooser } = this.options;
    const isLast = chooser.isLastRound(this.rounds);
    switch (fateOf(record)) {
      case "keep":
        break;
      case "pages":
        if (!this.reader.isVerifying) return "head";
        this.cut(record);
        break;
      case "latest":
        if (chooser.isChosen(record) && isLast) break;
        this.cut(record);
        if (chooser.isChosen(record)) this.deferred.push(record);
        break;
      case "tail":
        if (!isLast) this.cut(record);
        break;
      case "drop":
        this.cut(record);
        if (isLast) this.replace(record);
        break;
    }
    return "nothing";
  }

  body(): void {}

  pfns(record: StreamRecord, list: PfnList): void {
    this.batchCount = list.batchCount;
    if (list.firstIndex === 0 && list.batchCount > BATCH_PFNS_MAX) this.cut(record);
    this.reader.pfns(record, list);
  }

  private entry(entry: PageEntry): void {
    if (this.options.index.get(entry.pfn) !== entry.ordinal) return;
    this.pagesKept++;
    if (entry.hasData) this.pagesWithData++;
    if (this.batchCount <= BATCH_PFNS_MAX) this.current.add(entry);
    else {
      if (this.pending.isFull) this.flushPending();
      this.pending.add(entry);
    }
  }

  pages(): void {}

  recordEnd(record: StreamRecord): void {
    this.reader.end(record);
    const { current, pending, reader } = this;
    if (!isBatch(record) || reader.isVerifying || this.batchCount > BATCH_PFNS_MAX) return;
    if (current.count === this.batchCount && !reader.hasReservedBits) return current.clear();
    this.cut(record);
    if (pending.count + current.count > BATCH_PFNS_MAX) this.flushPending();
    pending.takeOver(current);
  }

  checkpoint(): void {
    this.rounds++;
  }

  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }

  /** Behind the walk: what is left up to the end. */
  finish(endOffset: number): void {
    const { index } = this.options;
    this.copyUpTo(endOffset);
    this.flushPending();
    assert(this.pagesKept === index.count, "every pfn of the index is written once");
    assert(this.deferred.length === 0, "deferred state is written before the end");
  }

  // ---- Output ---------------------------------------------------------------------------------

  /** Leaves a record out. */
  private cut(record: StreamRecord): void {
    this.copyUpTo(record.fileOffset);
    this.from = endOf(record);
  }

  private replace({ layer, type }: StreamRecord): void {
    const { sink, endsLibxl } = this.options;
    if (layer === "libxc" && type === LIBXC.checkpoint.type) {
      this.flushPending();
      for (const record of this.deferred.splice(0)) {
        this.copy(record.fileOffset, endOf(record) - record.fileOffset);
      }
      writeRecord(sink, LIBXC.end, {}, NO_TAIL);
    }
    const isEnd = layer === "libxl" && type === LIBXL.checkpointEnd.type;
    if (isEnd && endsLibxl) writeRecord(sink, LIBXL.end, {}, NO_TAIL);
  }

  private flushPending(): void {
    this.pending.flush(this.options.sink, (fileOffset, bytes) => this.copy(fileOffset, bytes));
  }

  private copyUpTo(fileOffset: number): void {
    const bytes = fileOffset - this.from;
    if (bytes === 0) return;
    this.flushPending();
    this.copy(this.from, bytes);
    this.from = fileOffset;
  }

  private copy(fileOffset: number, bytes: number): void {
    const { input, sink, onProgress } = this.options;
    for (let done = 0; done < bytes;) {
      const step = Math.min(STEP_BYTES, bytes - done);
      const got = sink.copyFile(input.file, { fileOffset: fileOffset + done, bytes: step });
      if (got < step) {
        throw new RefusedError(`Cannot read "${input.name}": it was cut short meanwhile`);
      }
      done += step;
      onProgress(fileOffset + done);
    }
  }
}

const endOf = ({ layer, bodyOffset, bodyBytes }: StreamRecord): number =>
  bodyOffset + (layer === "libxc" || layer === "libxl" ? roundUp(bodyBytes, 8) : bodyBytes);
