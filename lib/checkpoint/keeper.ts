// What a folder keeps while a stream is received into it: the restore points of this stream and of
// those before it, which of them stay, and what goes when they do not.
//
// An older stream's points stay until this one's first commit. So for that time there must be room
// for two images of the guest.

import { RefusedError } from "../base/index.ts";
import { type Fd, resizeFile } from "../sys/index.ts";
import {
  hasReaders,
  nextStream,
  openFile,
  removeStrays,
  removeStream,
  type StreamFiles,
} from "./folder.ts";
import { SLOT_BYTES } from "./layout.ts";
import { type RestorePoint, scanFolder, type ScannedFolder, type ScannedStream } from "./points.ts";
import { type Aged, type Clock, oldestKept, type Retention } from "./retention.ts";
import {
  createStream,
  reopenStream,
  type StreamWriter,
  type StreamWriterOptions,
} from "./stream-writer.ts";

export interface KeeperOptions extends StreamWriterOptions {
  readonly retention: Retention;
  readonly clock: Clock;
  /** Another receiver's, that this one goes on for. */
  readonly paused: Pick<PausedReceiver, "stream" | "position"> | undefined;
}

/** What a receiver that was paused between two rounds leaves to the next one. */
export interface PausedReceiver {
  /** Of the stream in the folder. */
  readonly stream: number;
  /** Offset in the stream, and its headers in base64. */
  readonly position: number;
  readonly headers: string;
  /** When the last round began, on the monotonic clock. */
  readonly roundStartedMs: number;
}

/** Recovers the folder and begins a stream in it, or goes on with one. */
export function keepFolder(options: KeeperOptions, lock: Fd): Keeper {
  const { folder, clock, paused } = options;
  const scanned = recoverFolder(folder, paused?.stream);
  if (paused !== undefined) return takeOver(options, scanned, lock);
  const { streams } = scanned;
  const number = nextStream(streams.map(({ files }) => files));
  const createdMs = Math.round(clock.realtimeMs());
  const writer = createStream(options, { stream: number, createdMs });
  return new Keeper({ ...options, writer, scanned, lock });
}

function takeOver(options: KeeperOptions, scanned: ScannedFolder, lock: Fd): Keeper {
  const { folder, paused } = options;
  const last = scanned.streams.at(-1);
  if (paused === undefined || last === undefined || last.files.stream !== paused.stream) {
    throw new RefusedError(
      `Cannot go on with stream ${paused?.stream} of "${folder}": it is not the last one there`,
    );
  }
  const kept = scanned.points.filter(({ stream }) => stream === paused.stream);
  const [oldest] = kept;
  const end = last.points.at(-1)?.endOffset;
  if (oldest === undefined || end !== paused.position) {
    throw new RefusedError(
      `Cannot go on with stream ${paused.stream} of "${folder}": wanted a journal that ends at ` +
        `offset ${paused.position} of the stream, found ${end}`,
    );
  }
  const writer = reopenStream(options, last);
  writer.rebuild(oldest.round);
  return new Keeper({ ...options, writer, scanned, lock });
}

/** What a crash has left goes; a stream that nobody could read any more is refused. */
export function recoverFolder(folder: string, goesOn: number | undefined): ScannedFolder {
  const scanned = scanFolder(folder);
  const [empty, streams] = [[] as ScannedStream[], [] as ScannedStream[]];
  for (const stream of scanned.streams) {
    const isEmpty = stream.points.length === 0 && !stream.isDamaged;
    (isEmpty && stream.files.stream !== goesOn ? empty : streams).push(stream);
  }
  for (const { files } of empty) removeStream(files);
  removeStrays(
    folder,
    streams.map(({ files }) => files),
  );
  for (const stream of streams) cutTail(stream);
  return { ...scanned, streams };
}

/** Part of a round that never counted. What is damaged stays as it is, to be looked at. */
function cutTail({ files, end, tail, points, isDamaged }: ScannedStream): void {
  const last = points.at(-1);
  if (tail === undefined || isDamaged || last === undefined) return;
  using journal = openFile(files.journal);
  using pages = openFile(files.pages);
  resizeFile(journal, end.position);
  resizeFile(pages, last.slots * SLOT_BYTES);
}

interface KeeperParts {
  readonly writer: StreamWriter;
  readonly scanned: ScannedFolder;
  readonly retention: Retention;
  readonly clock: Clock;
  readonly lock: Fd;
}

export class Keeper implements Disposable {
  readonly writer: StreamWriter;
  /** Those that are kept, of all streams, oldest first. */
  points: readonly RestorePoint[];
  private readonly retention: Retention;
  private readonly clock: Clock;
  private readonly lock: Fd;
  private olderStreams: readonly StreamFiles[];

  constructor({ writer, scanned, retention, clock, lock }: KeeperParts) {
    this.writer = writer;
    this.retention = retention;
    this.clock = clock;
    this.lock = lock;
    this.points = scanned.points;
    const files = scanned.streams.map((stream) => stream.files);
    this.olderStreams = files.filter(({ stream }) => stream !== writer.files.stream);
  }

  get nextNumber(): number {
    return (this.points.at(-1)?.number ?? 0) + 1;
  }

  /** The oldest point that stays when this one is added. */
  oldestWith(point: Aged): number {
    return oldestKept([...this.points, point], this.retention, this.clock);
  }

  /** Behind a commit: lets go of what it has made needless. */
  settle(point: RestorePoint, oldest: number): void {
    this.points = [...this.points.filter(({ number }) => number >= oldest), point];
    if (hasReaders(this.lock)) return; // At a later commit, then.
    const kept = new Set(this.points.map(({ stream }) => stream));
    const gone = this.olderStreams.filter(({ stream }) => !kept.has(stream));
    for (const files of gone) removeStream(files);
    if (gone.length > 0) {
      this.olderStreams = this.olderStreams.filter(({ stream }) => kept.has(stream));
    }
    this.writer.release(oldest);
    this.writer.compactIfDue();
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]();
  }
}
