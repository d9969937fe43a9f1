// The keeper of an update in place: a process of the old binary that has everything, and plays the
// holder while the old process becomes another program. It asks the new one what a holder asks.
// When that serves, the keeper ends; when it crashes, hangs or answers wrongly twice, the keeper
// serves in its place, and the pid is another one from then on.

import { Bug } from "../base/index.ts";
import { type Fd, makeNonBlocking, makeSocketPair, setOomScore } from "../sys/index.ts";
import { comeForward } from "./precedence.ts";
import { touchedOf } from "./heir.ts";
import type { Guarded } from "./heir-options.ts";
import { TIMES_MS } from "./holder-options.ts";
import { type HolderEffect, type HolderEvent, type HolderState, holderStep } from "./machine.ts";
import type { Message } from "./messages.ts";
import { ProbeClient } from "./probe-client.ts";
import type { Outcome, Survivor } from "./survivor.ts";
import type { Deadline, Waiter } from "./waiter.ts";

export interface KeeperOptions {
  readonly guarded: Guarded;
  readonly waiter: Waiter;
  /** It was needed, and serves. */
  readonly onServing: (survivor: Survivor, generation: number) => void;
  /** It is not needed any more, or cannot help: end this process. */
  readonly onEnd: (failure: string | undefined) => void;
}

export class Keeper {
  private readonly options: KeeperOptions;
  private state: HolderState = "guarding";
  private probe: ProbeClient | undefined;
  private deadline: Deadline | undefined;
  private reason: string | undefined;
  private hasSteppedBack = false;

  constructor(options: KeeperOptions) {
    this.options = options;
    const { channel } = options.guarded;
    channel.events = {
      onMessage: (message, fds) => this.told(message, fds),
      onClosed: () => this.trouble("closed", "the new program closed the line"),
      onPeerDead: () => this.trouble("peer_dead", "the new program ended"),
      onBreach: (error) => this.trouble("refused", error.message),
    };
    this.setDeadline();
  }

  private told(message: Message, fds: readonly Fd[]): void {
    for (const fd of fds) fd[Symbol.dispose]();
    switch (message.type) {
      case "adopted":
        if (message.attempt !== this.attempt) return;
        if (message.digest === this.options.guarded.final.head.digest) return this.on("adopted");
        return this.trouble("refused", `the digest differs: ${message.digest}`);
      case "serving":
        return this.options.guarded.channel.isPeerDead(0)
          ? this.trouble("peer_dead", "the new program ended")
          : this.on("serving");
      case "stepped_back":
        this.reason = message.reason;
        this.hasSteppedBack = true;
        this.dropProbe();
        this.setDeadline();
        return this.on("stepped_back");
      case "refused":
      case "abort":
        return this.trouble("refused", message.reason);
      default:
        return this.trouble("refused", `the new program said ${message.type} to the keeper`);
    }
  }

  private get attempt(): number {
    return this.hasSteppedBack ? 2 : 1;
  }

  private trouble(event: HolderEvent, reason: string): void {
    if (holderStep(this.state, event) === undefined) return;
    this.reason ??= reason;
    this.on(event);
  }

  private on(event: HolderEvent): void {
    const step = holderStep(this.state, event);
    if (step === undefined) return;
    this.state = step.to;
    if (step.to === "outliving" || step.to === "burying") this.setDeadline(TIMES_MS.death);
    for (const effect of step.effects) this.effects[effect]();
  }

  private setDeadline(delayMs = this.options.guarded.final.head.pause_limit_ms): void {
    this.deadline?.cancel();
    this.deadline = this.options.waiter.after(delayMs, () =>
      this.trouble("deadline", `the new program took longer than ${delayMs} ms`),
    );
  }

  private readonly effects: Record<HolderEffect, () => void> = {
    send_welcome: never,
    start_copy: never,
    send_copy: never,
    send_descriptors: never,
    send_stand_by: never,
    decide: never,
    pause: never,
    send_final: never,
    send_final_keep: never,
    exec: never,
    fail: () => undefined, // It serves, and its outcome says why.
    probe: () => this.startProbe(),
    send_commit: () => {
      const { attempt } = this;
      this.options.guarded.channel.send({ type: "commit", attempt }, []);
    },
    send_abort: () => {
      const reason = this.reason ?? "it was taken back";
      this.options.guarded.channel.send({ type: "abort", reason }, []);
    },
    retrieve_word: () =>
      this.on(this.options.guarded.page.takeBack() ? "word_ours" : "word_theirs"),
    kill_peer: () => {
      const { channel } = this.options.guarded;
      channel.killPeer();
      // Its death is told once: one that was dead already is not seen again.
      if (channel.isPeerDead(0)) this.on("peer_dead");
    },
    resume: never,
    adopt_again: () => this.takeOver(),
    leave: () => {
      this.release();
      this.options.onEnd(undefined);
    },
  };

  private startProbe(): void {
    const { channel, heir, final } = this.options.guarded;
    const [ours, theirs] = makeSocketPair("stream");
    makeNonBlocking(ours);
    makeNonBlocking(theirs);
    channel.send({ type: "probe", attempt: this.attempt }, [theirs]);
    theirs[Symbol.dispose]();
    this.probe = new ProbeClient(
      ours,
      this.options.waiter,
      heir.probe(final.difference),
      (wrong) => {
        if (wrong === undefined) return this.on("probe_right");
        const reason = `the new program answered a probe wrongly: ${wrong}`;
        this.trouble(this.hasSteppedBack ? "probe_wrong" : "probe_wrong_once", reason);
      },
    );
  }

  /** The other process is dead. */
  private takeOver(): void {
    const { heir, final, page, descriptors, oomScore } = this.options.guarded;
    const { report } = final.head;
    comeForward();
    if (oomScore !== undefined) setOomScore(process.pid, oomScore);
    const reason = `${this.reason ?? "it was taken back"}; the keeper serves as pid ${process.pid}`;
    const outcome: Outcome = { kind: "kept", reason, report };
    heir.adopt({
      difference: final.difference,
      gone: [],
      descriptors,
      touch: () => false, // Nobody else is left to look at the marks.
      touched: touchedOf(final, page),
      isLastResort: true,
    });
    heir.onFirstServed(() => undefined);
    const survivor = heir.serve(outcome);
    this.release();
    this.options.onServing(survivor, report.generation);
  }

  private dropProbe(): void {
    this.probe?.[Symbol.dispose]();
    this.probe = undefined;
  }

  private release(): void {
    this.deadline?.cancel();
    this.dropProbe();
    this.options.guarded.channel[Symbol.dispose]();
    this.options.guarded.page[Symbol.dispose]();
  }
}

function never(): void {
  throw new Bug("only the first holder does what comes before the handover");
}
