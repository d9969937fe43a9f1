// The restore points of a folder, as its journals tell them.

import { read } from "../bytes/index.ts";
import { type Fd, openForReading } from "../sys/index.ts";
import { listStreams, type StreamFiles } from "./folder.ts";
import {
  JournalReader,
  type JournalRecord,
  type JournalStart,
  readFileHeader,
  sizeOfFile,
} from "./journal-reader.ts";
import type { JournalPlace } from "./journal-writer.ts";
import { COMMIT, FAILOVER, FAILOVER_STATE, FILE_HEADER_BYTES, KIND, PRUNE } from "./layout.ts";

export interface RestorePoint {
  /** Unique in its folder, from 1. */
  readonly number: number;
  readonly stream: number;
  /** The checkpoint in its stream, from 1. */
  readonly round: number;
  readonly entries: number;
  readonly contents: number;
  readonly pfns: number;
  /** Size of the page file in slots. */
  readonly slots: number;
  readonly roundBytes: number;
  readonly endOffset: number;
  readonly committedMs: number;
  readonly boot: number;
  readonly monotonicMs: number;
  readonly intervalMs: number;
  readonly arrivalMs: number;
  readonly syncMs: number;
  readonly lagBytes: number;
  /** Where its round begins in the journal, and where that ends with its COMMIT. */
  readonly journalStart: JournalPlace;
  readonly journalEnd: JournalPlace;
}

export type FailoverState = keyof typeof FAILOVER_STATE;

export interface ScannedStream {
  readonly files: StreamFiles;
  /** undefined: a crash left it without a whole header. */
  readonly start: JournalStart | undefined;
  /** All that stand in the journal, also those that are not kept any more. */
  readonly points: readonly RestorePoint[];
  /** Commits before those, of which nothing else is left. */
  readonly past: readonly RestorePoint[];
  /** Number of the oldest point that is kept; 0 where the journal says nothing. */
  readonly oldest: number;
  /** Behind the last record that counts for good. */
  readonly end: JournalPlace;
  readonly bytes: number;
  /** What stands behind that and does not count; undefined: nothing. */
  readonly tail: string | undefined;
  /** Records that count stand behind one that is wrong: no crash does that. */
  readonly isDamaged: boolean;
  /** The last thing that was done with one of its points. */
  readonly failover: { readonly number: number; readonly state: FailoverState } | undefined;
}

export interface ScannedFolder {
  readonly path: string;
  readonly streams: readonly ScannedStream[];
  /** Those that are kept, oldest first. */
  readonly points: readonly RestorePoint[];
}

/** Reads all journals. Throws RefusedError (a newer version), StreamError, SystemError. */
export function scanFolder(path: string): ScannedFolder {
  const streams = listStreams(path).map(scanStream);
  const oldest = Math.max(0, ...streams.map((stream) => stream.oldest));
  const points = streams.flatMap((stream) => stream.points);
  return { path, streams, points: points.filter(({ number }) => number >= oldest) };
}

export function scanStream(files: StreamFiles): ScannedStream {
  using fd = openForReading(files.journal);
  return scanJournal(files, fd);
}

interface Progress {
  readonly points: RestorePoint[];
  readonly past: RestorePoint[];
  oldest: number;
  end: JournalPlace;
  failover: ScannedStream["failover"];
}

/** The same of a journal that is open. */
export function scanJournal(files: StreamFiles, fd: Fd): ScannedStream {
  const bytes = sizeOfFile(fd);
  const start = readFileHeader(fd);
  const first: JournalPlace = { position: FILE_HEADER_BYTES, number: 1 };
  const progress: Progress = { points: [], past: [], oldest: 0, end: first, failover: undefined };
  if (start === undefined) {
    const tail = "a file header that is not whole";
    return { files, start, ...progress, bytes, tail, isDamaged: false };
  }
  using reader = new JournalReader(fd, bytes);
  while (reader.next()) note(reader, files.stream, progress);
  const isDamaged = reader.stopped !== undefined && reader.hasCommitBehind();
  const { end } = progress;
  const tail = reader.stopped ?? (end.position < bytes ? "a round without its COMMIT" : undefined);
  return { files, start, ...progress, bytes, tail, isDamaged };
}

function note(record: JournalRecord, stream: number, progress: Progress): void {
  const { kind, view, at, end: position, number } = record;
  const end = { position, number: number + 1 };
  switch (kind) {
    case KIND.commit: {
      const row = read(COMMIT, view, at);
      const point = pointOf(row, { stream, journalStart: progress.end, journalEnd: end });
      progress.points.push(point);
      progress.oldest = row.oldest;
      break;
    }
    case KIND.past: {
      const row = read(COMMIT, view, at);
      const nowhere = progress.end;
      const place = { stream, journalStart: nowhere, journalEnd: nowhere };
      progress.past.push(pointOf(row, place));
      return;
    }
    case KIND.prune:
      progress.oldest = read(PRUNE, view, at).oldest;
      break;
    case KIND.failover: {
      const row = read(FAILOVER, view, at);
      const state = Object.entries(FAILOVER_STATE).find(([, value]) => value === row.state)?.[0];
      progress.failover = { number: row.number, state: (state ?? "begun") as FailoverState };
      break;
    }
    default:
      return; // Part of a round: it counts with its COMMIT.
  }
  progress.end = end;
}

/** A COMMIT as a restore point. */
export function pointOf(
  row: ReturnType<typeof read<typeof COMMIT>>,
  place: Pick<RestorePoint, "stream" | "journalStart" | "journalEnd">,
): RestorePoint {
  return {
    ...place,
    number: row.number,
    round: row.round,
    entries: row.entries,
    contents: row.contents,
    pfns: row.pfns,
    slots: row.slots,
    roundBytes: Number(row.round_bytes),
    endOffset: Number(row.end_offset),
    committedMs: Number(row.committed_ms),
    boot: row.boot,
    monotonicMs: Number(row.monotonic_ms),
    intervalMs: row.interval_ms,
    arrivalMs: row.arrival_ms,
    syncMs: row.sync_ms,
    lagBytes: row.lag_bytes,
  };
}
