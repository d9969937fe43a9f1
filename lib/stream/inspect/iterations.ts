// Pages per live iteration and per checkpoint. A saver goes through the guest's pfns upwards in
// each pass, so a pass begins where a batch's first pfn is not above the last one of the batch
// before, behind a CHECKPOINT and behind VERIFY. The last pass before the state records is the one
// with the guest stopped. There are no times in a stream: what can be told is how many pages a pass
// had.

import { LIBXC } from "../libxc/index.ts";
import type { StreamRecord } from "../walk/index.ts";
import type { PartCounts } from "./memory.ts";
import type { InspectIteration, InspectIterations } from "./report.ts";

/** Remus makes one every few seconds for months: the first and the last are kept. */
const FIRST_KEPT = 16;
const LAST_KEPT = 1008;
const RECORD_HEADER_BYTES = 8;
const VERIFY_RECORDS: readonly string[] = [LIBXC.verify.name, "ENABLE_VERIFY_MODE"];
export const BATCH_RECORDS: readonly string[] = [LIBXC.pageData.name, "PAGE_BATCH"];

type Iteration = {
  -readonly [K in keyof InspectIteration]: InspectIteration[K];
};

export class Iterations {
  private total = 0;
  private resent = 0;
  private readonly first: Iteration[] = [];
  /** A ring: the oldest stands at `total % LAST_KEPT` once it is full. */
  private readonly last: Iteration[] = [];
  private current: Iteration | undefined;
  private previous: Iteration | undefined;
  /** Batches may still belong to `current`. */
  private isOpen = false;
  private previousPfn = -1;
  private inVerify = false;
  /** State records stand behind the passes of the first round: its last one is complete. */
  private hasState = false;
  private checkpoint = 0;
  /** Passes of the first round: the live ones, not those of VERIFY. */
  private readonly live: { all?: Iteration; second?: Iteration; last?: Iteration; count: number } =
    { count: 0 };
  private stateBytes = 0;
  private readonly rounds = { count: 0, pages: 0, least: Infinity, most: 0 };
  private readonly hasContents: boolean;

  constructor({ hasContents }: { readonly hasContents: boolean }) {
    this.hasContents = hasContents;
  }

  /** Number of the iteration at hand; 0 before the first. */
  get number(): number {
    return this.current?.number ?? 0;
  }

  /** Every record, before its body. */
  record(record: StreamRecord): void {
    if (VERIFY_RECORDS.includes(record.record)) {
      this.endPass();
      this.inVerify = true;
    } else if (this.checkpoint === 0 && !BATCH_RECORDS.includes(record.record)) {
      this.stateBytes += record.bodyBytes + RECORD_HEADER_BYTES;
      this.hasState = this.live.count > 0;
    }
  }

  checkpointEnd(number: number): void {
    this.endPass();
    this.checkpoint = number;
    this.inVerify = false;
  }

  /** A part of a batch; `isFirst`: its first one. */
  batch(record: StreamRecord, part: PartCounts, isFirst: boolean): void {
    if (part.firstPfn === undefined) return;
    if (isFirst) this.beginBatch(record, part.firstPfn);
    const { current } = this;
    if (current === undefined) return;
    current.pages += part.entries;
    current.with_contents += part.withContents;
    current.sent_before += part.sentBefore;
    current.first_pfn = Math.min(current.first_pfn, part.lowest);
    current.last_pfn = Math.max(current.last_pfn, part.highest);
    this.previousPfn = part.lastPfn;
    this.resent += part.sentBefore;
  }

  private beginBatch(record: StreamRecord, firstPfn: number): void {
    if (!this.isOpen || firstPfn <= this.previousPfn) this.beginPass(record, firstPfn);
    const { current } = this;
    if (current === undefined) return;
    current.batches++;
    current.end_offset = record.bodyOffset + record.bodyBytes;
    current.bytes += current.end_offset - record.fileOffset;
    if (this.checkpoint > 0) return;
    this.stateBytes = 0;
    this.hasState = false;
  }

  private beginPass(record: StreamRecord, firstPfn: number): void {
    this.endPass();
    this.total++;
    const isCheckpoint = this.checkpoint > 0;
    const role = this.inVerify ? "verify" : isCheckpoint ? "checkpoint" : "live";
    const pass: Iteration = {
      number: this.total,
      role: role === "live" && this.live.count === 0 ? "all" : role,
      checkpoint: this.checkpoint,
      offset: record.fileOffset,
      end_offset: record.fileOffset,
      batches: 0,
      pages: 0,
      with_contents: 0,
      bytes: 0,
      sent_before: 0,
      first_pfn: firstPfn,
      last_pfn: firstPfn,
      ratio: null,
      zero: this.hasContents ? 0 : null,
      duplicate: this.hasContents ? 0 : null,
    };
    if (this.first.length < FIRST_KEPT) this.first.push(pass);
    else this.last[(this.total - 1) % LAST_KEPT] = pass;
    if (!isCheckpoint && !this.inVerify) this.noteLive(pass);
    this.previous = this.current;
    this.current = pass;
    this.isOpen = true;
  }

  private noteLive(pass: Iteration): void {
    const { live } = this;
    live.count++;
    live.all ??= pass;
    if (live.count === 2) live.second = pass;
    live.last = pass;
  }

  private endPass(): void {
    const { current, previous, rounds, isOpen } = this;
    if (current === undefined || !isOpen) return;
    this.isOpen = false;
    if (previous !== undefined && previous.with_contents > 0) {
      current.ratio = rounded(current.with_contents / previous.with_contents);
    }
    if (current.role !== "checkpoint") return;
    rounds.count++;
    rounds.pages += current.pages;
    rounds.least = Math.min(rounds.least, current.pages);
    rounds.most = Math.max(rounds.most, current.pages);
  }

  /** The contents of a page of the iteration at hand. */
  contents(likeness: "zero" | "duplicate"): void {
    const { current } = this;
    if (current === undefined) return;
    current[likeness] = (current[likeness] ?? 0) + 1;
  }

  report(): InspectIterations {
    this.endPass();
    const { live, rounds, total } = this;
    const downtime = live.count > 1 && this.hasState ? live.last : undefined;
    if (downtime !== undefined) downtime.role = "downtime";
    const list = [...this.first, ...this.last].sort((left, right) => left.number - right.number);
    return {
      total,
      left_off: total - list.length,
      list,
      resent_pages: this.resent,
      convergence: this.convergence(),
      downtime:
        downtime === undefined
          ? null
          : {
              number: downtime.number,
              pages: downtime.pages,
              with_contents: downtime.with_contents,
              bytes: downtime.bytes,
              state_bytes: this.stateBytes,
            },
      checkpoints:
        rounds.count === 0
          ? null
          : {
              count: rounds.count,
              least_pages: rounds.least,
              mean_pages: rounded(rounds.pages / rounds.count),
              most_pages: rounds.most,
            },
    };
  }

  private convergence(): InspectIterations["convergence"] {
    const { count, all, second, last } = this.live;
    if (count < 2 || all === undefined || second === undefined || last === undefined) {
      return "single";
    }
    const before = count === 2 ? all : second;
    if (last.with_contents * 2 <= before.with_contents) return "converging";
    return last.with_contents > before.with_contents ? "growing" : "steady";
  }
}

/** Four significant digits: nobody compares more, and golden files stay readable. */
const rounded = (value: number): number => Number(value.toPrecision(4));
