// Receiving a checkpointed stream into a folder, as an object: see receive.ts for how it works, and
// receive-handover.ts for how another program goes on with it.

import { assert } from "../base/index.ts";
import { type Finding, Interrupted } from "../bytes/index.ts";
import type { CarriedDescriptor, SeamProgram, Seams } from "../handover/index.ts";
import { ControlSocket, walk, type WalkEnd } from "../stream/index.ts";
import type { Fd, FileKind } from "../sys/index.ts";
import type { Keeper, KeeperOptions, PausedReceiver } from "./keeper.ts";
import type { RestorePoint } from "./points.ts";
import { encodeState, RECEIVE_KIND, RECEIVE_STATE_VERSION } from "./receive-state.ts";
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
  readonly companion: Companion | undefined;
  readonly listener: ReceiveListener;
  readonly paused: PausedReceiver | undefined;
}

/** What another program has done already, where this one goes on. */
export interface CarriedReceiver {
  readonly commits: number;
  readonly waitedMs: number;
  /** The control socket. */
  readonly listener: Fd | undefined;
}

/** What goes along with a receiver: whoever is told of its commits. */
export interface Companion {
  readonly duties: readonly Duty[];
  /** JSON, and the descriptors: what another program needs to go on with it. */
  state(): unknown;
  descriptors(): readonly CarriedDescriptor[];
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

export class Receiver implements SeamProgram, Disposable {
  readonly kind = RECEIVE_KIND;
  readonly stateVersion = RECEIVE_STATE_VERSION;
  private readonly options: ReceiveOptions;
  private readonly sourceFd: Fd;
  private readonly lock: Fd;
  private readonly control: ControlSocket | undefined;
  private readonly keeper: Keeper;
  private readonly writer: StreamWriter;
  private readonly source: StreamSource;
  private readonly recorder: Recorder;
  private readonly duties: Duty[];
  private seams: Seams | undefined;
  private commits: number;
  private roundStartedMs: number | undefined;
  private roundOffset: number;
  /** Behind the last commit: what another one needs to go on from there. */
  private seam: PausedReceiver | undefined;
  private paused: PausedReceiver | undefined;

  /** The keeper and the lock stay the caller's. */
  constructor(
    options: ReceiveOptions,
    parts: {
      readonly keeper: Keeper;
      readonly lock: Fd;
      readonly carried: CarriedReceiver | undefined;
    },
  ) {
    const { paused, folder, companion } = options;
    const { keeper, carried } = parts;
    this.options = options;
    const source = options.open();
    this.sourceFd = source.fd;
    this.lock = parts.lock;
    this.keeper = keeper;
    this.writer = keeper.writer;
    this.commits = carried?.commits ?? 0;
    const prefix = paused === undefined ? new Uint8Array(0) : Buffer.from(paused.headers, "base64");
    const position = paused?.position ?? 0;
    this.control = this.openControl(carried?.listener);
    this.duties = [...(companion?.duties ?? []), ...(this.control ? [this.control] : [])];
    const silence = { afterMs: options.silenceMs, tell: () => this.tellSilence() };
    this.source = new StreamSource({ ...source, duties: this.duties, position, prefix, silence });
    this.source.waitedMs = carried?.waitedMs ?? 0;
    this.roundStartedMs = paused?.roundStartedMs;
    this.roundOffset = position;
    this.seam = paused;
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

  private openControl(listener: Fd | undefined): ControlSocket | undefined {
    const { control } = this.options;
    if (control === undefined) return undefined;
    const status = (): string => `${JSON.stringify(this.status(), null, 2)}\n`;
    return new ControlSocket(control, status, listener);
  }

  // ---- Replaced -------------------------------------------------------------------------------

  /** Before run(). */
  replaceableBy(seams: Seams): void {
    this.seams = seams;
    this.duties.push(seams);
    if (this.control !== undefined) this.control.onOrder = seams.order.bind(seams);
  }

  obstacles(): readonly string[] {
    if (this.recorder.canBeTakenOver) return [];
    return ["the stream is in its second pass of page contents: wanted one that is not verified"];
  }

  counts() {
    return {
      descriptors: this.descriptors().length,
      restore_points: this.keeper.points.length,
      bytes: this.seam?.position ?? 0,
    };
  }

  /** Nothing was read of the round behind the last commit. */
  isAtSeam(): boolean {
    const { seam, source } = this;
    return seam !== undefined && source.isAtRest && source.position === seam.position;
  }

  state(): Uint8Array {
    const { source, commits, seam, options } = this;
    return encodeState({
      paused: seam ?? null,
      source: this.sourceFd.name,
      commits,
      waited_ms: source.waitedMs,
      companion: options.companion?.state() ?? null,
    });
  }

  descriptors(): readonly CarriedDescriptor[] {
    const { control, lock, sourceFd, options } = this;
    return [
      { key: "source", fd: sourceFd },
      { key: "lock", fd: lock },
      ...(control === undefined ? [] : [{ key: "control", fd: control.listener }]),
      ...(options.companion?.descriptors() ?? []),
    ];
  }

  // ---- Running --------------------------------------------------------------------------------

  run(): ReceiveResult {
    const { listener } = this.options;
    const end = walk(this.source, this.recorder, {
      format: undefined,
      onProgress: (position) => listener.progress(position),
    });
    this.seams?.end();
    if (this.paused !== undefined) this.writer.abandon();
    // Just behind the commit that this one went on from: an end as behind any other commit.
    const { paused } = this.options;
    const isAtOnce = paused !== undefined && this.source.position === paused.position;
    return {
      ended: this.paused !== undefined ? "paused" : endOf(end),
      stream: this.writer.files.stream,
      position: this.source.position,
      commits: this.commits,
      last: this.keeper.points.at(-1),
      finding: isAtOnce && end.isTruncated ? undefined : end.stopped,
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
    this.seam = this.seamAt(endOffset, startedMs);
    this.seams?.pass();
    if (listener.shouldPause()) this.pause();
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

  private seamAt(position: number, roundStartedMs: number): PausedReceiver | undefined {
    if (!this.recorder.canBeTakenOver) return undefined;
    const headers = Buffer.from(this.recorder.headers).toString("base64");
    return { stream: this.writer.files.stream, position, headers, roundStartedMs };
  }

  private pause(): void {
    // Bytes that were looked at already cannot be given to another process.
    if (!this.isAtSeam()) return;
    this.paused = this.seam;
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
