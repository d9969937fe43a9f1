// The heir's side of a handover at the kernel: what the effects of machine.ts do. A new program
// runs this before anything else, with its loop; so does the keeper of an update in place.

import { assert, RefusedError } from "../base/index.ts";
import {
  type Fd,
  makeNonBlocking,
  monotonicMs,
  oomScoreOf,
  openPidfd,
  setOomScore,
  setProcessName,
} from "../sys/index.ts";
import { touchedKeys } from "./carried.ts";
import { Channel } from "./channel.ts";
import { type Final, practiseFinal, readFinal } from "./final-file.ts";
import type { HeirOptions, Inherited } from "./heir-options.ts";
import { heirStep, type HeirEffect, type HeirEvent, type HeirState } from "./machine.ts";
import { type Message, PROTOCOL } from "./messages.ts";
import { comeForward, comeForwardAlone, goFirst } from "./precedence.ts";
import { SharedPage } from "./shared-page.ts";
import type { Heir, Outcome, UpdateReport } from "./survivor.ts";
import { TakenState } from "./taken-state.ts";
import type { Deadline } from "./waiter.ts";

/** For a holder that is silent before it has said how long it will take. */
const GREETING_MS = 60_000;
/** The copy and the rehearsal: the holder has the deadline that counts. */
const PREPARE_MS = 600_000;
/** For an old program that has been told to leave. */
const LEAVING_MS = 2000;
/** Those who have waited are served first, and their requests behind that. */
const SETTLED_MS = 100;
/** Beyond the holder's own deadline, so that it is the holder who decides. */
const PATIENCE_FACTOR = 3;

export class HeirSide {
  private readonly options: HeirOptions;
  readonly channel: Channel;
  private state: HeirState = "greeting";
  private heir: Heir | undefined;
  private copy: { readonly file: Fd; readonly digest: string } | undefined;
  private digest = "";
  private rehearsalMs = 0;
  private readonly taken = new TakenState();
  private final: Final | undefined;
  private probe: Fd | undefined;
  private deadline: Deadline | undefined;
  private reason: string | undefined;
  private pauseMs = GREETING_MS;
  private measuredMs = 0;
  /** Of the old program: until it serves, this one is the first to go. */
  private oomScore: number | undefined;
  private steppedBack: string | undefined;
  private canStepBack = false;
  private afterServing = (): void => undefined;
  private afterShared = (): void => undefined;

  constructor(options: HeirOptions) {
    this.options = options;
    this.channel = new Channel(options.channel, options.waiter, {
      onMessage: (message, fds) => this.told(message, fds),
      onClosed: () => this.trouble("closed", "the old program closed the line"),
      onPeerDead: () => this.trouble("peer_dead", "the old program ended"),
      onBreach: (error) => this.trouble("breach", error.message),
    });
  }

  /** A program that was started to take over. */
  greet(): void {
    const { heirs, version } = this.options;
    const kinds = Object.fromEntries(
      Object.entries(heirs).map(([kind, { stateVersions }]) => [kind, [...stateVersions]]),
    );
    const protocol: [number, number] = [PROTOCOL.oldest, PROTOCOL.newest];
    this.channel.send({ type: "hello", protocol, version, pid: process.pid, kinds }, []);
    this.setDeadline(GREETING_MS);
    this.afterServing = () => void this.options.waiter.after(SETTLED_MS, () => this.settle());
  }

  /** No longer the first to go, nor the last to come. */
  private settle(): void {
    comeForward();
    if (this.oomScore !== undefined) setOomScore(process.pid, this.oomScore);
  }

  /** A program that was executed in place: everything but the probes is behind it. */
  inherit({ final, page, descriptors, keeperPid, ...back }: Inherited): void {
    const { heirs } = this.options;
    const known = heirs[final.head.kind];
    if (known === undefined) throw new RefusedError(`Cannot continue a ${final.head.kind}`);
    setProcessName(final.head.process_name);
    this.heir = known.start(final.head.settings);
    for (const [key, fd] of descriptors) this.taken.add(key, fd);
    this.final = final;
    this.taken.page = page;
    this.pauseMs = final.head.pause_limit_ms;
    this.steppedBack = back.steppedBack;
    this.canStepBack = back.canStepBack;
    this.afterServing = back.onServing;
    const keeper = openPidfd(keeperPid);
    if (keeper !== undefined) this.channel.watchPeer(keeper);
    this.state = "adopting";
    this.setDeadline(this.pauseMs * PATIENCE_FACTOR);
    this.adopt();
    if (keeper === undefined) this.trouble("peer_dead", "the keeper ended");
  }

  /**
   * This program is to end, having served: calls back once the old one has left, which would take
   * the end for a crash, and serve again.
   */
  finish(done: () => void): void {
    if (!this.taken.isShared || (this.state !== "serving" && this.state !== "served"))
      return done();
    this.afterShared = done;
    this.options.waiter.after(LEAVING_MS, done);
    this.on("first_served");
  }

  // ---- Events ---------------------------------------------------------------------------------

  private told(message: Message, fds: readonly Fd[]): void {
    switch (message.type) {
      case "welcome":
        return this.welcomed(message);
      case "copy": {
        const [file] = fds;
        if (file === undefined) throw new RefusedError("Cannot rehearse: there is no copy");
        this.copy = { file, digest: message.digest };
        return this.on("copy");
      }
      case "descriptors":
        return this.describe(message.keys, fds);
      case "final":
        return this.toldFinal(fds);
      case "stand_by":
      case "final_keep": {
        const [file, page] = fds;
        if (file === undefined || page === undefined) {
          throw new RefusedError("Cannot take over: there is no final state");
        }
        this.final = readFinal(file);
        this.taken.page = SharedPage.open(page, this.final.head.marks);
        file[Symbol.dispose]();
        return this.on(message.type);
      }
      case "probe":
      case "commit":
        if (message.attempt !== this.attempt) return fds.forEach((fd) => fd[Symbol.dispose]());
        this.probe = fds[0];
        return this.on(message.type);
      case "abort":
        return this.trouble("abort", message.reason);
      default:
        throw new RefusedError(`Cannot take over: the old program said ${message.type}`);
    }
  }

  private toldFinal([file, probe]: readonly Fd[]): void {
    if (file === undefined || probe === undefined || this.taken.page === undefined) {
      throw new RefusedError("Cannot take over: there is no final state");
    }
    this.final = readFinal(file);
    file[Symbol.dispose]();
    this.probe = probe;
    this.on("final");
  }

  private welcomed(message: Extract<Message, { type: "welcome" }>): void {
    const { heirs } = this.options;
    const known = heirs[message.kind];
    if (known === undefined || !known.stateVersions.includes(message.state_version)) {
      throw new RefusedError(`Cannot continue a ${message.kind} of ${message.state_version}`);
    }
    const holder = openPidfd(message.pid);
    if (holder === undefined) return this.trouble("peer_dead", "the old program ended");
    this.channel.watchPeer(holder);
    this.oomScore = oomScoreOf(message.pid);
    setProcessName(message.process_name);
    this.heir = known.start(message.settings);
    this.pauseMs = message.pause_ms;
    this.setDeadline(PREPARE_MS);
    this.on("welcome");
  }

  private describe(keys: readonly string[], fds: readonly Fd[]): void {
    if (keys.length !== fds.length) {
      throw new RefusedError(`Cannot take over: ${keys.length} keys, ${fds.length} descriptors`);
    }
    keys.forEach((key, index) => this.taken.add(key, fds[index]!)); // As many of both.
    this.on("descriptors");
  }

  private trouble(event: HeirEvent, reason: string): void {
    if (heirStep(this.state, event) === undefined) return;
    this.reason ??= reason;
    this.on(event);
  }

  private on(event: HeirEvent): void {
    const step = heirStep(this.state, event);
    if (step === undefined) return;
    this.state = step.to;
    for (const effect of step.effects) this.effects[effect]();
    const isHolderGone = event === "closed" || event === "peer_dead";
    if (isHolderGone && (this.state === "served" || this.state === "serving")) this.endShared();
  }

  private setDeadline(delayMs: number): void {
    this.deadline?.cancel();
    this.deadline = this.options.waiter.after(delayMs, () =>
      this.trouble("deadline", `the old program was silent for ${delayMs} ms`),
    );
  }

  // ---- Effects --------------------------------------------------------------------------------

  private readonly effects: Record<HeirEffect, () => void> = {
    rehearse: () => this.rehearse(),
    send_rehearsed: () => {
      const { digest, rehearsalMs } = this;
      this.channel.send({ type: "rehearsed", digest, duration_ms: rehearsalMs }, []);
    },
    send_got: () => this.channel.send({ type: "got", count: this.taken.arrivedCount }, []),
    stand_by: () => this.standBy(),
    send_standing: () => {
      comeForwardAlone(); // From here on every moment counts.
      if (this.heir?.standBy !== undefined) goFirst();
      this.channel.send({ type: "standing" }, []);
    },
    adopt: () => {
      this.setDeadline(this.pauseMs * PATIENCE_FACTOR);
      this.adopt();
    },
    send_adopted: () =>
      this.channel.send({ type: "adopted", digest: this.digest, attempt: this.attempt }, []),
    send_refused: () => {
      const type = this.canStepBack ? "stepped_back" : "refused";
      this.channel.send({ type, reason: this.why() }, []);
    },
    serve_probe: () => {
      const { probe } = this;
      this.probe = undefined;
      if (probe !== undefined) {
        makeNonBlocking(probe);
        this.heir?.serveProbe(probe);
      }
    },
    take_word: () => {
      assert(this.taken.page, "there is a word once everything was handed over");
      this.on(this.taken.page.takeOver() ? "word_ours" : "word_theirs");
    },
    serve: () => this.serve(),
    send_serving: () => this.channel.send({ type: "serving", pause_ms: this.measuredMs }, []),
    send_kept: () => {
      comeForwardAlone(); // As above.
      this.channel.send({ type: "kept" }, []);
    },
    guard: () => this.guard(),
    give_up: () => {
      this.deadline?.cancel();
      this.options.onGivenUp(this.why());
    },
  };

  private why(): string {
    return this.reason ?? "the update was taken back";
  }

  /** In place there is a second one, by the old program. */
  private get attempt(): number {
    return this.steppedBack === undefined ? 1 : 2;
  }

  private rehearse(): void {
    const { heir, copy } = this;
    assert(heir && copy, "a copy comes after the welcome");
    const startedAtMs = monotonicMs();
    try {
      this.digest = heir.rehearse(copy.file);
      practiseFinal(this.options.version);
      Bun.gc(true); // Else what practice has left is collected while everybody waits.
    } catch (error) {
      return this.trouble("rehearsal_bad", messageOf(error));
    } finally {
      copy.file[Symbol.dispose]();
      this.copy = undefined;
    }
    this.rehearsalMs = monotonicMs() - startedAtMs;
    this.on("rehearsal_good");
  }

  private standBy(): void {
    const { heir, final } = this;
    assert(heir && final, "what is to stand by for is here");
    try {
      this.taken.take(final, heir.standBy === undefined);
      heir.standBy?.(this.taken.adoption(final, false));
      Bun.gc(true); // As after the rehearsal.
    } catch (error) {
      return this.trouble("standing_bad", messageOf(error));
    }
    this.on("standing_good");
  }

  private adopt(): void {
    const { heir, final } = this;
    assert(heir && final, "the final state is here");
    try {
      this.taken.take(final, heir.standBy === undefined);
      this.digest = heir.adopt(this.taken.adoption(final, this.attempt === 2));
    } catch (error) {
      return this.trouble("adoption_bad", messageOf(error));
    }
    this.on("adoption_good");
  }

  private serve(): void {
    const { heir, final } = this;
    assert(heir && final, "the final state is here");
    this.deadline?.cancel();
    const { head } = final;
    this.measuredMs = Math.round((monotonicMs() - head.paused_at_ms) * 1000) / 1000;
    const { pause_ms } = head.report;
    const report: UpdateReport = {
      ...head.report,
      pause_ms: { predicted: pause_ms.predicted, measured: this.measuredMs },
    };
    const { steppedBack } = this;
    const outcome: Outcome =
      steppedBack === undefined
        ? { kind: "updated", report }
        : { kind: "kept", reason: steppedBack, report };
    heir.onFirstServed(() => this.on("first_served"));
    const survivor = heir.serve(outcome);
    this.afterServing();
    this.options.onServing(survivor, head.report.generation);
    if (this.channel.isPeerDead(0)) this.endShared();
  }

  /** The old program has left: nobody looks at the marks any more. */
  private endShared(): void {
    if (!this.taken.isShared) return;
    this.deadline?.cancel();
    this.channel[Symbol.dispose]();
    this.taken.endShared();
    this.final = undefined;
    this.afterShared();
  }

  private guard(): void {
    const { heir, final, channel } = this;
    const { page, descriptors } = this.taken;
    assert(heir && final && page, "the final state is here");
    assert(this.options.onGuard, "only a keeper is asked to keep");
    this.deadline?.cancel();
    this.taken.take(final, true);
    const { oomScore } = this;
    this.options.onGuard({ channel, final, page, descriptors, heir, oomScore });
  }
}

/** The keys that a program which has ended since had touched. */
export const touchedOf = ({ head }: Final, page: SharedPage): Set<string> =>
  touchedKeys(
    head.descriptors.map(([key]) => key),
    (index) => page.isTouched(index),
  );

/** A mistake of the new program is a reason like any other: the old one goes on. */
const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
