// Receiving a checkpointed stream into a folder.
//
// Theory of Operation. The walk reads the sender's stream to its end, and the recorder keeps it. At
// each CHECKPOINT_END the round is committed, before a byte more is read: so what was read and is
// not committed is never more than one round, and it is on the disk, not in memory. A sender that
// is faster than that finds its pipe or socket full. There is no other back-pressure: Remus has no
// acknowledgement.
//
// Everything that must survive is in the folder at any moment. There is nothing to be done at the
// end, and so no signal is caught: whatever ends this process, the last commit counts.
//
// Between two rounds a receiver can be replaced: nothing of the stream is held in memory then but
// its headers, which the next walk must see first. PausedReceiver and the descriptors are all that
// another process needs; index and slots it makes anew from the journal.

import { assert } from "../base/index.ts";
import { type Finding, Interrupted } from "../bytes/index.ts";
import { ControlSocket, walk, type WalkEnd } from "../stream/index.ts";
import type { Fd, FileKind } from "../sys/index.ts";
import { lockForWriting, makeFolder } from "./folder.ts";
import { keepFolder, type Keeper, type KeeperOptions, type PausedReceiver } from "./keeper.ts";
import type { RestorePoint } from "./points.ts";
import { Recorder } from "./recorder.ts";
import { type CheckpointStatus, pointReport } from "./report.ts";
import { type Duty, StreamSource } from "./stream-source.ts";
import type { StreamWriter } from "./stream-writer.ts";

export interface ReceiveOptions extends KeeperOptions {
  /** Called when the folder is ready: the sender may begin. Stays the caller's to close. */
  readonly open: () => { readonly fd: Fd; readonly kind: FileKind };
  /** Path of a unix socket that tells how it stands. */
  readonly control: string | undefined;
  /** How long a sender may have nothing before that is told. */
  readonly silenceMs: number;
  readonly duties: readonly Duty[];
  readonly listener: ReceiveListener;
  readonly paused: PausedReceiver | undefined;
}

export interface ReceiveListener {
  /** A round counts; called when it is durable. */
  committed(point: RestorePoint): void;
  /** Where the stream is. */
  progress(position: number): void;
  /** Nothing has come for a while behind the first checkpoint of the stream. */
  silent(): void;
  /** Asked behind each commit: whether to stop there, for another process to go on. */
  shouldPause(): boolean;
}

export type ReceiveEnd =
  /** The sender has gone in the middle of things, as Remus ends. */
  | "lost"
  /** The stream came to an END. */
  | "end"
  /** What it sent is wrong. */
  | "bad"
  | "paused";

export interface ReceiveResult {
  readonly ended: ReceiveEnd;
  readonly stream: number;
  readonly position: number;
  /** Committed by this receiver, of this stream. */
  readonly commits: number;
  /** The last restore point of the folder, of an older stream where this one has none. */
  readonly last: RestorePoint | undefined;
  /** Where and why the stream could not be read on. */
  readonly finding: Finding | undefined;
  /** What the descriptor said, where it failed. */
  readonly failure: string | undefined;
  readonly waitedMs: number;
  readonly paused: PausedReceiver | undefined;
}

/**
 * Receives until the stream ends. Throws RefusedError (a folder in use, or of a newer version; a
 * COLO stream) and SystemError (the folder's disk): the last commit stands all the same.
 */
export function receiveStream(options: ReceiveOptions): ReceiveResult {
  makeFolder(options.folder);
  using lock = lockForWriting(options.folder);
  using keeper = keepFolder(options, lock);
  using receiver = new Receiver(options, keeper);
  return receiver.run();
}

class Receiver implements Disposable {
  private readonly options: ReceiveOptions;
  private readonly control: ControlSocket | undefined;
  private readonly keeper: Keeper;
  private readonly writer: StreamWriter;
  private readonly source: StreamSource;
  private readonly recorder: Recorder;
  private commits = 0;
  private roundStartedMs: number | undefined;
  private roundOffset: number;
  private paused: PausedReceiver | undefined;

  constructor(options: ReceiveOptions, keeper: Keeper) {
    const { duties, paused, folder, control } = options;
    this.options = options;
    const source = options.open();
    this.keeper = keeper;
    this.writer = keeper.writer;
    const prefix = paused === undefined ? new Uint8Array(0) : Buffer.from(paused.headers, "base64");
    const position = paused?.position ?? 0;
    this.control =
      control === undefined
        ? undefined
        : new ControlSocket(control, () => `${JSON.stringify(this.status(), null, 2)}\n`);
    const all = this.control === undefined ? duties : [...duties, this.control];
    const silence = { afterMs: options.silenceMs, tell: () => this.tellSilence() };
    this.source = new StreamSource({ ...source, duties: all, position, prefix, silence });
    this.roundStartedMs = paused?.roundStartedMs;
    this.roundOffset = position;
    const { journal, pages, slots, index, points } = this.writer;
    this.recorder = new Recorder({
      journal,
      pages,
      slots,
      index,
      rounds: points.at(-1)?.round ?? 0,
      skipsHeaders: paused !== undefined,
      cannot: `Cannot receive ${source.fd.name} into "${folder}"`,
      onCheckpoint: (endOffset) => this.commit(endOffset),
    });
  }

  run(): ReceiveResult {
    const { listener } = this.options;
    const end = walk(this.source, this.recorder, {
      format: undefined,
      onProgress: (position) => listener.progress(position),
    });
    if (this.paused !== undefined) this.writer.abandon();
    return {
      ended: this.paused !== undefined ? "paused" : endOf(end),
      stream: this.writer.files.stream,
      position: this.source.position,
      commits: this.commits,
      last: this.keeper.points.at(-1),
      finding: end.stopped,
      failure: this.source.failure?.message,
      waitedMs: this.source.waitedMs,
      paused: this.paused,
    };
  }

  private commit(endOffset: number): void {
    const { source, recorder, writer, keeper } = this;
    const { clock, listener } = this.options;
    const arrivedMs = clock.monotonicMs();
    const startedMs = source.firstByteMs ?? arrivedMs;
    const before = this.roundStartedMs;
    const fields = {
      number: keeper.nextNumber,
      round: recorder.round,
      oldest: keeper.oldestWith({ number: keeper.nextNumber, ...this.stamp(arrivedMs) }),
      entries: recorder.counts.entries,
      contents: recorder.counts.contents,
      boot: clock.boot,
      round_bytes: BigInt(endOffset - this.roundOffset),
      end_offset: BigInt(endOffset),
      committed_ms: BigInt(Math.round(clock.realtimeMs())),
      monotonic_ms: BigInt(Math.round(arrivedMs)),
      interval_ms: before === undefined ? 0 : milliseconds(startedMs - before),
      arrival_ms: milliseconds(arrivedMs - startedMs),
    };
    const point = writer.commit(fields, () => ({
      syncMs: clock.monotonicMs() - arrivedMs,
      lagBytes: source.waitingBytes,
    }));
    this.commits++;
    this.roundStartedMs = startedMs;
    this.roundOffset = endOffset;
    source.beginRound();
    keeper.settle(point, fields.oldest);
    listener.committed(point);
    if (listener.shouldPause()) this.pause(endOffset, startedMs);
  }

  private stamp(monotonicMs: number) {
    const { clock } = this.options;
    return { boot: clock.boot, monotonicMs, committedMs: clock.realtimeMs() };
  }

  /** COLO's sender waits there for an answer; Remus' sends at least every interval. */
  private tellSilence(): void {
    if (this.commits === 1) this.options.listener.silent();
  }

  private status(): CheckpointStatus {
    const { source, keeper, options, roundOffset } = this;
    const last = keeper.points.at(-1);
    const isOurs = last !== undefined && this.commits > 0;
    const since = isOurs ? options.clock.monotonicMs() - last.monotonicMs : undefined;
    return {
      folder: options.folder,
      stream: this.writer.files.stream,
      position: Math.max(0, source.position),
      commits: this.commits,
      uncommitted_bytes: Math.max(0, source.position - roundOffset),
      waiting_bytes: source.waitingBytes,
      since_commit_ms: since === undefined ? null : Math.max(0, Math.round(since)),
      last: last === undefined ? null : pointReport(last),
    };
  }

  private pause(position: number, roundStartedMs: number): void {
    // Bytes that were looked at already cannot be given to another process.
    if (!this.source.isAtRest || !this.recorder.canBeTakenOver) return;
    const headers = Buffer.from(this.recorder.headers).toString("base64");
    const { stream } = this.writer.files;
    this.paused = { stream, position, headers, roundStartedMs };
    throw new Interrupted("the receiver is paused");
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]();
    this.control?.[Symbol.dispose]();
  }
}

const milliseconds = (value: number): number => {
  assert(Number.isFinite(value), "a duration is a number");
  return Math.max(0, Math.min(0xffff_ffff, Math.round(value)));
};

function endOf({ stopped, isTruncated, outcome, isInterrupted }: WalkEnd): ReceiveEnd {
  assert(!isInterrupted, "only a pause interrupts a receiver");
  if (stopped !== undefined) return isTruncated ? "lost" : "bad";
  return outcome === undefined ? "end" : "lost";
}
