// The holder's side of a handover at the kernel: what the effects of machine.ts do. The program
// goes on serving from its own loop until `pause`.

import { assert } from "../base/index.ts";
import {
  Fd,
  makeNonBlocking,
  makeSocketPair,
  monotonicMs,
  oomKills,
  openPidfd,
  processName,
  SIGNAL,
  signalPidfd,
} from "../sys/index.ts";
import { Channel } from "./channel.ts";
import { type Circumstances, HandedState } from "./handed-state.ts";
import { type HolderEffect, type HolderEvent, type HolderState, holderStep } from "./machine.ts";
import { type Message, PROTOCOL, whyUnfit } from "./messages.ts";
import { type Handed, type HolderOptions, TIMES_MS } from "./holder-options.ts";
import { comeForward, Precedence } from "./precedence.ts";
import { ProbeClient } from "./probe-client.ts";
import { Steps } from "./steps.ts";
import type { Outcome, Snapshot, UpdateReport } from "./survivor.ts";
import type { Deadline } from "./waiter.ts";

const OUT_OF_MEMORY = "the kernel has ended a process of this control group for lack of memory";
const ENDED = "the new program ended";
/** How long a process is in ending, its connections closed. */
const ENDING_MS = 10;
const LIMITED = new Set<HolderState>([
  "handing",
  "handing_keep",
  "probing",
  "answered",
  "committed",
]);

export class Holder {
  private readonly options: HolderOptions;
  private readonly channel: Channel;
  private readonly handed: HandedState;
  private readonly precedence: Precedence;
  private readonly steps: Steps;
  private readonly startedAtMs = monotonicMs();
  private readonly oomKillsBefore = oomKills();
  private state: HolderState = "starting";
  private snapshot: Snapshot | undefined;
  private copyDigest: string | undefined;
  private probe: ProbeClient | undefined;
  private deadline: Deadline | undefined;
  private reason: string | undefined;
  private phases: Record<string, number>;
  private phaseAtMs = this.startedAtMs;
  private sha256: string | null;
  private version: string | null;
  private predictedMs: number | null = null;
  private measuredMs: number | null = null;
  private pausedAtMs = 0;
  private counts: UpdateReport["counts"] = {};

  constructor(options: HolderOptions) {
    this.options = options;
    const { waiter, launched, known, prepareMs } = options;
    this.sha256 = known?.sha256 ?? null;
    this.version = known?.version ?? null;
    this.phases = { ...known?.phases_ms };
    this.channel = new Channel(launched.channel, waiter, {
      onMessage: (message, fds) => this.received(message, fds),
      onClosed: () => this.trouble("closed", "the new program closed the line"),
      onPeerDead: () => this.trouble("peer_dead", ENDED),
      onBreach: (error) => this.trouble("refused", error.message),
    });
    this.steps = new Steps(waiter, (reason) => this.trouble("cancel", reason));
    this.handed = new HandedState(options.survivor, this.channel);
    this.setDeadline(prepareMs, "prepare");
    this.precedence = new Precedence(waiter, options.survivor.standby !== undefined);
    if (launched.launcher !== undefined) this.precedence.begin(launched.launcher);
  }

  /** The asker has gone, or somebody took the order back. */
  cancel(reason: string): void {
    this.trouble("cancel", reason);
  }

  /** This program was told to end: a successor that serves already is told so in its turn. */
  quit(reason: string): void {
    this.isQuitting = true;
    this.cancel(reason);
  }
  private isQuitting = false;

  report(): UpdateReport {
    const { way, generation, binary } = this.options;
    return {
      way,
      generation,
      binary,
      sha256: this.sha256,
      version: this.version,
      counts: this.counts,
      phases_ms: this.phases,
      pause_ms: { predicted: this.predictedMs, measured: this.measuredMs },
    };
  }

  // ---- Events ---------------------------------------------------------------------------------

  private received(message: Message, fds: readonly Fd[]): void {
    for (const fd of fds) fd[Symbol.dispose](); // The heir has none of ours to give.
    switch (message.type) {
      case "verified":
        this.sha256 = message.sha256;
        this.version = message.version;
        return this.phaseDone("verify");
      case "started":
        return this.watchHeir(message.pid);
      case "hello":
        this.watchHeir(message.pid);
        this.phaseDone("start");
        this.version = message.version;
        return this.greeted(message);
      case "rehearsed":
        this.phaseDone("rehearse");
        return this.compared("rehearsed", message.digest, this.copyDigest);
      case "got":
        return this.on("got");
      case "standing":
        this.phaseDone("stand");
        this.precedence.hold();
        return this.on("standing");
      case "kept":
        return this.on("kept");
      case "adopted":
        this.phaseDone("adopt");
        return this.compared("adopted", message.digest, this.handed.head?.digest);
      case "serving":
        this.measuredMs = message.pause_ms;
        return this.channel.isPeerDead(0) ? this.trouble("peer_dead", ENDED) : this.on("serving");
      case "refused":
        return this.trouble("refused", message.reason);
      default:
        return this.trouble("refused", `the new program said ${message.type} to the old one`);
    }
  }

  private watchHeir(pid: number): void {
    if (this.heirPid !== undefined) return;
    const pidfd = openPidfd(pid);
    if (pidfd === undefined) return this.trouble("peer_dead", "the new program ended at once");
    this.heirPid = pid;
    this.channel.watchPeer(pidfd);
    this.precedence.begin({ pid, pidfd });
  }
  private heirPid: number | undefined;

  private greeted(hello: Extract<Message, { type: "hello" }>): void {
    const unfit = whyUnfit(hello, this.options.survivor);
    if (unfit === undefined) return this.on("hello_fit");
    this.trouble("hello_unfit", `${hello.version} does not fit: ${unfit}`);
  }

  private compared(event: HolderEvent, found: string, wanted: string | undefined): void {
    if (found === wanted) return this.on(event);
    this.trouble("refused", `the digest of the state differs: wanted ${wanted}, found ${found}`);
  }

  private trouble(event: HolderEvent, reason: string): void {
    // What means nothing here, as the end of the channel behind a commit, is no reason either.
    if (holderStep(this.state, event) === undefined) return;
    const isForMemory = this.reason === undefined && oomKills() > this.oomKillsBefore;
    this.reason ??= isForMemory ? `${reason}; ${OUT_OF_MEMORY}` : reason;
    this.on(event);
  }

  private on(event: HolderEvent): void {
    const step = holderStep(this.state, event);
    if (step === undefined) return;
    this.state = step.to;
    if (LIMITED.has(step.to)) this.setDeadline(this.options.pauseMs, step.to);
    if (step.to === "outliving" || step.to === "burying") this.setDeadline(TIMES_MS.death, step.to);
    for (const effect of step.effects) this.effects[effect]();
    if (this.state === "ended") this[Symbol.dispose]();
  }

  private setDeadline(delayMs: number, what: string): void {
    this.deadline?.cancel();
    this.deadline = this.options.waiter.after(delayMs, () =>
      this.trouble("deadline", `the new program took longer than ${delayMs} ms (${what})`),
    );
  }

  private phaseDone(name: string): void {
    const nowMs = monotonicMs();
    this.phases[name] = Math.round((nowMs - this.phaseAtMs) * 1000) / 1000;
    this.phaseAtMs = nowMs;
  }

  // ---- Effects --------------------------------------------------------------------------------

  private readonly effects: Record<HolderEffect, () => void> = {
    send_welcome: () => {
      const { kind, stateVersion, settings } = this.options.survivor;
      this.channel.send(
        {
          type: "welcome",
          protocol: PROTOCOL.newest,
          kind,
          state_version: stateVersion,
          settings,
          process_name: processName(),
          pid: process.pid,
          pause_ms: this.options.pauseMs,
        },
        [],
      );
    },
    start_copy: () => {
      const { survivor } = this.options;
      const obstacles = survivor.obstacles();
      if (obstacles.length > 0) return this.trouble("cancel", obstacles.join("; "));
      this.precedence.waive();
      this.counts = survivor.counts();
      this.snapshot = survivor.snapshot();
      this.steps.inNextTurn(() => this.copySlice());
    },
    send_copy: () => {
      this.phaseDone("copy");
      this.precedence.resume();
      assert(this.snapshot, "a copy is made before it is sent");
      this.copyDigest = this.snapshot.digest;
      this.channel.send({ type: "copy", digest: this.copyDigest }, [this.snapshot.file]);
      this.dropSnapshot(); // The heir is the one who frees it: clients do not wait for that.
    },
    send_descriptors: () => this.sendDescriptors(),
    decide: () => this.decide(),
    pause: () => {
      this.phaseDone("rest");
      this.pausedAtMs = this.phaseAtMs;
      this.options.survivor.pause();
    },
    send_final: () => this.sendFinal(),
    send_final_keep: () => {
      this.handed.sendFinalKeep(this.circumstances());
      this.phaseDone("hand");
    },
    // The loop notes signals between two of its turns: the exec would lose one that has come.
    exec: () => this.steps.inNextTurn(() => this.exec()),
    send_stand_by: () =>
      this.steps.inTurns(() => this.state === "standing", [
        () => this.handed.makeStandBy(this.circumstances()),
        () => this.prepareProbe(),
        () => this.handed.sendStandBy(),
      ]),
    probe: () => assert(false, "only a keeper probes what has adopted"),
    send_commit: () => {
      this.phaseDone("probe");
      this.channel.send({ type: "commit", attempt: 1 }, []);
    },
    send_abort: () =>
      this.channel.send({ type: "abort", reason: this.reason ?? "it was taken back" }, []),
    retrieve_word: () => {
      // Without a page nothing was handed over yet.
      this.on(this.handed.page?.takeBack() === false ? "word_theirs" : "word_ours");
    },
    kill_peer: () => {
      if (this.heirPid !== undefined && !this.channel.isPeerDead(0)) comeForward(this.heirPid);
      this.channel.killPeer();
      const { pidfd } = this.options.launched.launcher ?? {};
      if (this.heirPid === undefined && pidfd !== undefined) signalPidfd(pidfd, SIGNAL.kill);
      // Its death is told once: one that was dead already is not seen again.
      if (this.heirPid === undefined || this.channel.isPeerDead(0)) this.on("peer_dead");
    },
    resume: () => this.options.survivor.resume(this.outcome()),
    adopt_again: () => {
      if (this.handed.head === undefined) return this.effects.resume();
      this.options.survivor.adoptAgain(this.handed.touched(), this.outcome());
    },
    leave: () => {
      this.phaseDone("commit");
      if (this.isQuitting) this.channel.signalPeer(SIGNAL.terminate);
      this.options.survivor.leave();
      this.options.onEnd({ kind: "left", report: this.report(), pid: this.heirPid ?? 0 });
    },
    fail: () => {
      const report = this.report();
      if (this.reason === undefined) return this.options.onEnd({ kind: "rehearsed", report });
      this.options.onEnd({ kind: "failed", reason: this.why(), report });
    },
  };

  private why(): string {
    return this.reason ?? "it was taken back";
  }

  private outcome(): Outcome {
    return { kind: "kept", reason: this.why(), report: this.report() };
  }

  private copySlice(): void {
    if (this.state !== "copying" || this.snapshot === undefined) return;
    if (this.snapshot.advance(TIMES_MS.copySlice)) return this.on("copied");
    this.steps.later(() => this.copySlice());
  }

  private dropSnapshot(): void {
    this.snapshot?.[Symbol.dispose]();
    this.snapshot = undefined;
  }

  private sendDescriptors(): void {
    if (this.handed.sendBatch()) return;
    this.phaseDone("describe");
    this.on(this.options.goal === "keep" ? "described_keep" : "described");
  }

  private circumstances(): Circumstances {
    return {
      paused_at_ms: this.pausedAtMs,
      pause_limit_ms: this.options.pauseMs,
      report: this.report() as Circumstances["report"], // Written down at once.
    };
  }

  private decide(): void {
    const { goal, way, survivor, pauseMsMax, known } = this.options;
    const isInPlace = way === "in_place"; // Also where this is the dry run of one.
    const startedAtMs = monotonicMs();
    if (isInPlace || survivor.standby === undefined) survivor.difference();
    else survivor.standby.changes();
    const differenceMs = monotonicMs() - startedAtMs;
    const startMs = known?.phases_ms.start ?? this.phases.start ?? 0;
    const exchangeMs = isInPlace ? startMs + TIMES_MS.exchange : TIMES_MS.exchange;
    this.predictedMs = Math.round((2 * differenceMs + exchangeMs) * 1000) / 1000;
    if (goal === "rehearse") return this.on("stay");
    if (pauseMsMax !== undefined && this.predictedMs > pauseMsMax) {
      const found = `found ${this.predictedMs} ms predicted`;
      return this.trouble("stay", `wanted a pause of at most ${pauseMsMax} ms, ${found}`);
    }
    const go = (): void => this.on(goal === "keep" ? "go_keep" : "go");
    // The trial has just taken its time: those who came meanwhile are served first.
    if (survivor.whenPausable === undefined) this.steps.later(go, TIMES_MS.rest);
    else survivor.whenPausable(() => this.steps.attempt(go));
  }

  /** What it asks stands there when the heir gets its end. */
  private prepareProbe(): void {
    const { survivor, waiter } = this.options;
    const [ours, theirs] = makeSocketPair("stream");
    makeNonBlocking(ours);
    makeNonBlocking(theirs);
    this.probeEnd = theirs;
    this.probe = new ProbeClient(ours, waiter, survivor.probe(), (wrong) => {
      if (wrong === undefined) return this.on("probe_right");
      // A process that ends closes its connections first: what matters is that it ended.
      if (this.channel.isPeerDead(ENDING_MS)) return this.trouble("peer_dead", ENDED);
      this.trouble("probe_wrong", `the new program answered a probe wrongly: ${wrong}`);
    });
  }
  private probeEnd: Fd | undefined;

  private sendFinal(): void {
    const { probeEnd } = this;
    assert(probeEnd, "the probe is ready before the pause");
    this.handed.sendFinal(this.circumstances(), probeEnd);
    probeEnd[Symbol.dispose]();
    this.phaseDone("hand");
  }

  private exec(): void {
    if (this.state !== "handing_keep") return;
    const { becomeProgram } = this.options;
    assert(becomeProgram, "there is a program to become");
    const { final, page, head } = this.handed;
    assert(final && page && head && this.heirPid, "the keeper has everything");
    const { socketNumber: channelNumber } = this.channel;
    const handed: Handed = { channelNumber, final, page, head, keeperPid: this.heirPid };
    this.precedence.end(); // A class outlives the exec.
    try {
      becomeProgram(handed);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.trouble("exec_failed", error.message);
    }
  }

  private [Symbol.dispose](): void {
    this.deadline?.cancel();
    this.precedence.end();
    this.probe?.[Symbol.dispose]();
    this.probeEnd?.[Symbol.dispose]();
    this.dropSnapshot();
    this.channel[Symbol.dispose]();
    this.options.launched.launcher?.pidfd[Symbol.dispose]();
    this.handed[Symbol.dispose]();
  }
}
