// A relay: verifyStream over a source whose bytes go on to a target.
//
//   walk      the stream is verified as it passes (relay-source.ts)
//   rest      what stands behind it is passed on unseen: the sender's go-ahead; all of a bad
//             stream, unless it is to be cut
//   half      the target sees the end; the back channel goes on until the receiver has closed it
//
// With `isExact` nothing behind the stream is touched: it belongs to whoever has the descriptor
// next.

import { Bug } from "../../base/index.ts";
import { type Finding, Interrupted, StreamError } from "../../bytes/index.ts";
import {
  type CarriedDescriptor,
  PollWaiter,
  type SeamProgram,
  Seams,
} from "../../handover/index.ts";
import { borrow, monotonicMs } from "../../sys/index.ts";
import { findingMark, type VerifyMark, type VerifyReport, verifyStream } from "../verify/index.ts";
import { BackChannel } from "./back-channel.ts";
import { captureState, endDescriptors, endStates, heldOf, obstaclesOf } from "./carried.ts";
import { Channel } from "./channel.ts";
import { ControlSocket } from "./control-socket.ts";
import { Handshake } from "./handshake.ts";
import { Lifeline } from "./lifeline.ts";
import { FOR_EVER, noMore, Pump } from "./pump.ts";
import type { CarriedRelay, RelayOptions, RelayResult } from "./relay-options.ts";
import { RelaySource } from "./relay-source.ts";
import {
  encodeRelayState,
  RELAY_KIND,
  RELAY_STATE_VERSION,
  type RelayState,
} from "./relay-state.ts";
import type { RelayReport } from "./report.ts";
import { reportOf } from "./report-of.ts";

/** Every format that can be gone on with is known by then. */
const START_BYTES = 1024 * 1024;
/** Behind a stream so much is looked at; more than that is not xl's go-ahead. */
const REST_SEEN_BYTES = 4096;
const REST_STEP_BYTES = 1024 * 1024;
/** What somebody who asks for the end waits for the answer of a receiver that has the guest. */
const RESULT_WAIT_MS = 10_000;
/** A helper that was told to end says so to libxl; it has failed already and is about to exit. */
const LAST_MESSAGES_MS = 2000;

/** Relays until both directions are over. Throws only what concerns neither end (RefusedError). */
export function relayStream(options: RelayOptions): RelayResult {
  using relay = new Relay(options, undefined);
  const { settings } = options;
  if (settings === undefined) return relay.run();
  using seams = new Seams(relay, settings, { waiter: new PollWaiter(), generation: 0 });
  relay.replaceableBy(seams);
  return relay.run();
}

export class Relay implements SeamProgram, Disposable {
  readonly kind = RELAY_KIND;
  readonly stateVersion = RELAY_STATE_VERSION;
  private readonly options: RelayOptions;
  private readonly pump = new Pump();
  private readonly handshake = new Handshake();
  private readonly channel: Channel;
  private readonly source: RelaySource;
  private readonly back: BackChannel | undefined;
  private readonly control: ControlSocket | undefined;
  private readonly lifeline: Lifeline | undefined;
  private startedMs = monotonicMs();
  /** Where the walk could be gone on with, and what it knows there. */
  private seam: { readonly position: number; readonly mark: () => VerifyMark } | undefined;
  private from: VerifyMark | undefined;
  private seams: Seams | undefined;
  private ended: RelayReport["ended"] = "running";
  private firstError: Finding | undefined;
  private errors = 0;
  private warnings = 0;
  /** Where the rest began; undefined until then. */
  private streamEnd: number | undefined;
  private isCaptureWhole = false;
  private verify: VerifyReport | undefined;
  private isWalkOver = false;
  private bug: unknown;
  private stopDeadlineMs: number | undefined;

  constructor(options: RelayOptions, carried: CarriedRelay | undefined) {
    this.options = options;
    const { source, target, capture, rate, gate, control, lifeline } = options;
    const mayRead = gate === undefined ? undefined : (): boolean => gate.mayRead;
    const middle = carried && {
      readEnd: carried.take("middle_read"),
      writeEnd: carried.take("middle_write"),
    };
    this.channel = new Channel({
      source,
      target,
      pump: this.pump,
      capture,
      rate,
      mayRead,
      carried: carried && middle && { state: carried.state.channel, middle },
    });
    this.source = new RelaySource({
      name: source.fd.name,
      channel: this.channel,
      onPassing: () => this.holdBackBadBytes(),
      carried: carried && heldOf(carried.state),
    });
    gate?.attach(this.channel);
    this.back = this.openBack();
    this.control = control === undefined ? undefined : this.openControl(control, carried);
    this.lifeline =
      lifeline === undefined
        ? undefined
        : new Lifeline({
            fd: lifeline.fd,
            onStatus: () => lifeline.onStatus(this.report()),
            onStop: () => this.stop("the relay was told to end"),
            onOrphaned: () => {
              lifeline.onOrphaned();
              this.pump.stop("the relay's supervisor has gone");
            },
          });
    for (const duty of [this.lifeline, gate, this.back, this.control]) {
      if (duty !== undefined) this.pump.addDuty(duty);
    }
    if (carried !== undefined) this.restore(carried.state);
  }

  private openControl(path: string, carried: CarriedRelay | undefined): ControlSocket {
    const status = (): string => `${JSON.stringify(this.report(), null, 2)}\n`;
    return new ControlSocket(path, status, carried?.take("control"));
  }

  // ---- Replaced -------------------------------------------------------------------------------

  /** Before run(). */
  replaceableBy(seams: Seams): void {
    this.seams = seams;
    this.pump.addDuty(seams);
    if (this.control !== undefined) this.control.onOrder = seams.order.bind(seams);
  }

  private restore(state: RelayState): void {
    this.startedMs = state.started_ms;
    this.errors = state.errors;
    this.warnings = state.warnings;
    this.firstError = state.first_error ?? undefined;
    this.from = state.verify ?? undefined;
    const mark = this.from;
    if (mark !== undefined) this.seam = { position: state.held.position, mark: () => mark };
    this.handshake.restore(state.handshake);
    if (state.back !== null) this.back?.restore(state.back);
    if (state.gate !== null) this.options.gate?.restore(state.gate);
  }

  obstacles(): readonly string[] {
    return obstaclesOf(this.options, {
      isOver: this.isWalkOver || this.pump.isStopped || this.stopDeadlineMs !== undefined,
      hasBug: this.bug !== undefined,
      isForeign: this.seam === undefined && this.channel.takenBytes > START_BYTES,
    });
  }

  counts() {
    return {
      descriptors: this.descriptors().length,
      bytes: this.channel.takenBytes,
      bytes_on_their_way: this.channel.takenBytes - this.channel.deliveredBytes,
    };
  }

  isAtSeam(): boolean {
    const { source, seam } = this;
    return !this.isWalkOver && source.isAtRest && source.position === (seam?.position ?? 0);
  }

  state(): Uint8Array {
    const { handshake, channel, source, errors, warnings, seam } = this;
    const { capture, gate } = this.options;
    const { position, taken, bytes } = source.held;
    return encodeRelayState({
      ends: endStates(this.options, this.back?.isOver ?? true),
      started_ms: this.startedMs,
      errors,
      warnings,
      first_error: this.firstError === undefined ? null : findingMark(this.firstError),
      channel: channel.state,
      held: { position, taken, bytes: Buffer.from(bytes).toString("base64") },
      verify: seam?.mark() ?? null,
      handshake: handshake.state,
      back: this.back?.state ?? null,
      gate: gate?.state ?? null,
      capture: captureState(capture),
    });
  }

  descriptors(): readonly CarriedDescriptor[] {
    const { channel, control, options } = this;
    const { middle } = channel;
    return [
      ...endDescriptors(options, this.back?.isOver ?? true),
      { key: "middle_read", fd: middle.readEnd },
      { key: "middle_write", fd: middle.writeEnd },
      ...(control === undefined ? [] : [{ key: "control", fd: control.listener }]),
    ];
  }

  // ---- Running --------------------------------------------------------------------------------

  private openBack(): BackChannel | undefined {
    const { back } = this.options;
    if (back === undefined) return undefined;
    return new BackChannel({
      ...back,
      onBytes: (bytes) => {
        this.handshake.feed("to_sender", bytes);
        return this.handshake.isUnderstood;
      },
      letGo: () => {
        back.from.letGo();
        back.to.letGo();
      },
    });
  }

  run(): RelayResult {
    const { options } = this;
    this.guarded(() => this.walk());
    this.isWalkOver = true;
    if (this.ended === "running") this.guarded(() => this.passRest());
    if (this.ended === "running") this.ended = "end";
    // First the target: its end is what the receiver waits for.
    options.target.letGo();
    if (!options.isExact) options.source.letGo();
    this.finishDuties();
    options.capture?.finish(this.isCaptureWhole || this.ended === "end");
    return { report: this.report(), bug: this.bug };
  }

  private walk(): void {
    const { format, limit, tailsElsewhere, gate, onProgress } = this.options;
    this.verify = verifyStream(this.source, {
      format,
      compression: undefined,
      limit,
      tailsElsewhere,
      onProgress,
      from: this.from,
      onSeam: (mark) => {
        this.seam = { position: this.source.position, mark };
        this.seams?.pass();
      },
      listener: {
        finding: (finding) => this.note(finding),
        checkpoint: () => gate?.checkpoint(),
      },
    });
    // The walk keeps an interruption to itself, so that its report is not lost.
    if (this.channel.failure !== undefined || this.pump.isStopped) throw new Interrupted("");
    if (this.errors > 0 && this.options.onError === "cut") this.ended = "cut";
  }

  private note(finding: Finding): void {
    if (finding.severity === "warning") this.warnings++;
    else {
      this.errors++;
      this.firstError ??= finding;
    }
  }

  private holdBackBadBytes(): void {
    if (this.firstError === undefined || this.options.onError === "pass") return;
    this.ended = "cut";
    throw new Interrupted("the stream is bad");
  }

  /** What the walk has left, and what stands behind the stream. */
  private passRest(): void {
    const { channel } = this;
    const isGood = this.errors === 0 && this.bug === undefined;
    this.source.release();
    channel.flush();
    if (isGood) this.endCapture();
    // A bad stream's length is not known: what may be touched of it is over.
    if (this.options.isExact) return;
    this.streamEnd = channel.takenBytes;
    this.passSeen();
    while (channel.splice(REST_STEP_BYTES) === REST_STEP_BYTES);
    channel.flush();
  }

  /** A good stream is all that a capture holds: whatever happens behind it, that is whole. */
  private endCapture(): void {
    this.channel.endCapture();
    this.isCaptureWhole = true;
  }

  /** The first bytes behind the stream, looked at for the handshake. */
  private passSeen(): void {
    using loan = borrow(REST_SEEN_BYTES);
    const { address, bytes } = loan.region;
    for (let seen = 0; seen < REST_SEEN_BYTES;) {
      const got = this.channel.readSome(address, REST_SEEN_BYTES);
      if (got === 0) return;
      this.channel.push(address, got);
      this.handshake.feed("to_receiver", bytes.subarray(0, got));
      seen += got;
    }
  }

  /** The receiver may have an answer; a helper has messages until it exits. */
  private finishDuties(): void {
    const { back, pump } = this;
    const { gate } = this.options;
    gate?.release();
    for (;;) {
      const isGateOver = gate?.isOver ?? true;
      if (isGateOver && (back?.isOver ?? true)) return;
      const leftMs = this.waitsUntilMs(isGateOver) - performance.now();
      if (leftMs <= 0) return;
      pump.waitOut(noMore, leftMs === Infinity ? FOR_EVER : Math.ceil(leftMs));
    }
  }

  /** How long the other direction is waited for. */
  private waitsUntilMs(isGateOver: boolean): number {
    const { stoppedAtMs } = this.pump;
    if (stoppedAtMs !== undefined) return isGateOver ? 0 : stoppedAtMs + LAST_MESSAGES_MS;
    if (this.stopDeadlineMs === undefined) return Infinity;
    const isOwed = this.handshake.awaitsResult || this.back?.isEmpty === false;
    return isOwed ? this.stopDeadlineMs : 0;
  }

  /** At once; but a receiver that has been given the guest gets the time to say so. */
  private stop(reason: string): void {
    if (!this.handshake.awaitsResult) return this.pump.stop(reason);
    this.stopDeadlineMs ??= performance.now() + RESULT_WAIT_MS;
  }

  /** Runs a part of the relay, and notes why it did not come to its end. */
  private guarded(part: () => void): void {
    try {
      part();
    } catch (error) {
      if (error instanceof Interrupted || error instanceof StreamError) this.interrupted();
      else if (error instanceof Bug || error instanceof TypeError || error instanceof RangeError) {
        // A mistake of our checks must not cost the guest: pass on what there is, unseen.
        if (this.bug !== undefined) this.ended = "bug";
        this.bug ??= error;
        if (this.options.isExact) this.ended = "bug";
      } else throw error;
    }
  }

  private interrupted(): void {
    if (this.ended !== "running") return;
    const { channel } = this;
    const side = channel.failure?.side;
    const isThrough = channel.deliveredBytes === channel.takenBytes;
    if (side === "target" && this.streamEnd !== undefined && isThrough) {
      // A receiver that has all of it and has ended, while the sender's line is still open.
      channel.failure = undefined;
      this.ended = "end";
      return;
    }
    this.ended =
      side === "source" ? "source_failed" : side === "target" ? "target_failed" : "stopped";
  }

  private report(): RelayReport {
    const { channel, options, handshake, ended, errors, warnings, bug, streamEnd, back } = this;
    return reportOf(options, {
      channel,
      handshake,
      ended,
      errors,
      warnings,
      hasBug: bug !== undefined,
      streamEnd,
      backBytes: back?.passedBytes ?? 0,
      startedMs: this.startedMs,
      verify: this.verify,
    });
  }

  [Symbol.dispose](): void {
    for (const owned of [this.lifeline, this.back, this.control, this.source, this.channel]) {
      owned?.[Symbol.dispose]();
    }
    this.pump[Symbol.dispose]();
  }
}
