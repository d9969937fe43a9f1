// Gives up restore points of a folder that nobody receives into, and what only they need: older
// streams, what is superseded in journals, and slots, which become holes of the page file.

import { assert, RefusedError, SystemError } from "../base/index.ts";
import { type Fd, punchHole, syncData, syncFile } from "../sys/index.ts";
import { compactJournal } from "./compact.ts";
import {
  createFile,
  hasReaders,
  lockForWriting,
  openFile,
  removeFile,
  removeStream,
  renameFile,
  syncFolder,
} from "./folder.ts";
import { JournalReader } from "./journal-reader.ts";
import { JournalWriter } from "./journal-writer.ts";
import { FAILOVER, FAILOVER_STATE, KIND, PRUNE, SLOT_BYTES } from "./layout.ts";
import { batchOf } from "./live-entries.ts";
import { recoverFolder } from "./keeper.ts";
import { type FailoverState, type RestorePoint, type ScannedStream, scanStream } from "./points.ts";
import { type Clock, oldestKept, type Retention } from "./retention.ts";
import { SlotMap } from "./slot-map.ts";

export interface Pruned {
  readonly removed: readonly RestorePoint[];
  readonly kept: readonly RestorePoint[];
  /** Bytes of page files that were given back to the disk. */
  readonly freedBytes: number;
}

export interface PruneOptions {
  readonly folder: string;
  readonly retention: Retention;
  readonly clock: Clock;
}

/** Throws RefusedError where somebody receives into the folder, or reads page contents. */
export function pruneFolder({ folder, retention, clock }: PruneOptions): Pruned {
  using lock = lockForWriting(folder);
  if (hasReaders(lock)) {
    throw new RefusedError(`Cannot prune "${folder}": somebody reads a restore point of it`);
  }
  const { streams, points } = recoverFolder(folder, undefined);
  const newest = streams.at(-1);
  if (newest === undefined || points.length === 0) return { removed: [], kept: [], freedBytes: 0 };
  refuseDamaged(streams);
  const oldest = oldestKept(points, retention, clock);
  const [removed, kept] = [
    points.filter(({ number }) => number < oldest),
    points.filter(({ number }) => number >= oldest),
  ];
  // First the word that they are gone, then they go.
  appendRecord(newest, (journal) =>
    journal.append(KIND.prune, PRUNE, {
      oldest,
      reserved: 0,
      at_ms: BigInt(Math.round(clock.realtimeMs())),
    }),
  );
  let freedBytes = 0;
  for (const stream of streams) {
    const needed = kept.find((point) => point.stream === stream.files.stream);
    if (needed === undefined) {
      freedBytes += (stream.points.at(-1)?.slots ?? 0) * SLOT_BYTES;
      removeStream(stream.files);
    } else freedBytes += shrink(folder, stream, needed);
  }
  return { removed, kept, freedBytes };
}

function refuseDamaged(streams: readonly ScannedStream[]): void {
  const damaged = streams.find(({ isDamaged }) => isDamaged);
  if (damaged === undefined) return;
  throw new RefusedError(
    `Cannot write to "${damaged.files.journal}": it is damaged (${damaged.tail}, and whole ` +
      "commits behind it): agent checkpoint verify says more",
  );
}

/** Adds a record behind the last one that counts; it is on the disk then. */
function appendRecord({ files, end }: ScannedStream, add: (journal: JournalWriter) => void): void {
  using fd = openFile(files.journal);
  using journal = new JournalWriter(fd, end);
  add(journal);
  journal.flush();
  syncData(fd);
}

/** Rewrites a journal without what is needed by no point from `oldest` on, and punches holes. */
function shrink(folder: string, { files, start }: ScannedStream, oldest: RestorePoint): number {
  assert(start, "a stream with points has a header");
  const { stream } = files;
  const path = `${files.journal}.new`;
  removeFile(path);
  using source = openFile(files.journal);
  using target = createFile(path);
  const until = scanStream(files).end.position;
  const { createdMs } = start;
  const parts = { source, target, until, round: oldest.round, stream, createdMs };
  const { place } = compactJournal(parts);
  using journal = new JournalWriter(target, place);
  const row = { oldest: oldest.number, reserved: 0, at_ms: 0n };
  journal.append(KIND.prune, PRUNE, row); // The one that stood there was left behind.
  journal.flush();
  syncFile(target);
  renameFile(path, files.journal);
  syncFolder(folder);
  using pages = openFile(files.pages);
  return punch(pages, usedSlots(target, journal.place.position));
}

/** Slots that an entry of the journal names: those that count, and a few that do not any more. */
function usedSlots(journal: Fd, until: number): SlotMap {
  const slots = new SlotMap();
  using reader = new JournalReader(journal, until);
  while (reader.next()) {
    if (reader.kind !== KIND.batch) continue;
    const { words, slotsAt, contents } = batchOf(reader);
    for (let at = slotsAt; at < slotsAt + contents; at++) slots.adopt(words[at]!);
  }
  return slots;
}

function punch(pages: Fd, slots: SlotMap): number {
  let freed = 0;
  for (let slot = 0; slot < slots.size;) {
    let end = slot;
    while (end < slots.size && !slots.isTaken(end)) end++;
    const range = { fileOffset: slot * SLOT_BYTES, bytes: (end - slot) * SLOT_BYTES };
    if (range.bytes > 0) {
      if (!punchHole(pages, range)) return freed; // This disk cannot: the slots are used again.
      freed += range.bytes;
    }
    slot = end + 1;
  }
  return freed;
}

// ---- Failover ---------------------------------------------------------------------------------

/** Notes in the folder what becomes of a restore point: it is on the disk when this returns. */
export function noteFailover(
  folder: string,
  { number, stream }: RestorePoint,
  { state, clock }: { readonly state: FailoverState; readonly clock: Clock },
): void {
  using _ = lockForWriting(folder);
  const found = recoverFolder(folder, undefined).streams.find(
    ({ files }) => files.stream === stream,
  );
  if (found === undefined) throw new RefusedError(`Cannot write to "${folder}": it has changed`);
  refuseDamaged([found]);
  const at_ms = BigInt(Math.round(clock.realtimeMs()));
  appendRecord(found, (journal) =>
    journal.append(KIND.failover, FAILOVER, { number, state: FAILOVER_STATE[state], at_ms }),
  );
}

/** A note that could not be made is no reason to stop what it is about. */
export function tryNoteFailover(...args: Parameters<typeof noteFailover>): string | undefined {
  try {
    noteFailover(...args);
    return undefined;
  } catch (error) {
    if (error instanceof SystemError || error instanceof RefusedError) return error.message;
    throw error;
  }
}
