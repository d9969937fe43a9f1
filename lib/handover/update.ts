// One update at a time, from the order to its end: which processes are started, and as what.
//
//   promote    the new binary as heir: copy, rehearsal, descriptors, standing by; final, commit
//   in place   the new binary as heir, dismissed after its rehearsal; our own binary as keeper;
//              then this process becomes the new binary
//   dry run    the new binary as heir, dismissed after its rehearsal

import { RefusedError } from "../base/index.ts";
import { type Environment, openForReading, openPidfd, SIGNAL, signalPidfd } from "../sys/index.ts";
import { guarded } from "./guarded.ts";
import type { HolderEnd, HolderOptions } from "./holder-options.ts";
import { Holder } from "./holder.ts";
import { becomeProgram } from "./in-place.ts";
import { openBinary, OWN_EXECUTABLE, type Program, type SelfCommand, startHeir } from "./launch.ts";
import type { Survivor, UpdateReport, Way } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

export interface UpdaterOptions {
  readonly survivor: Survivor;
  readonly waiter: Waiter;
  readonly self: SelfCommand;
  /** argv[0] of this program. */
  readonly argv0: string;
  /** The words behind it that make it do what it does: "store", "serve" ... */
  readonly words: readonly string[];
  readonly environment: Environment;
  /** How often this program's state has changed hands: 0 for a program that began anew. */
  readonly generation: number;
}

export interface UpdateOrder {
  readonly binary: string;
  /** The words to start it with; undefined: those this program was started with. */
  readonly words: readonly string[] | undefined;
  readonly way: Way;
  readonly isDryRun: boolean;
  /** Lower-case hex; any other binary is refused. */
  readonly sha256: string | undefined;
  /** Refuse where the pause is predicted to be longer. */
  readonly pauseMsMax: number | undefined;
  /** For everything before the pause, and from the pause until the new program serves. */
  readonly prepareMs: number;
  readonly pauseMs: number;
}

export type UpdateEnd = HolderEnd;

export const ALREADY_ACTIVE = "live-update session already active.";
const PROBE_SHARE = 0.5;

export class Updater {
  private readonly options: UpdaterOptions;
  private holder: Holder | undefined;
  private last: UpdateEnd | undefined;

  constructor(options: UpdaterOptions) {
    this.options = options;
  }

  get isActive(): boolean {
    return this.holder !== undefined;
  }

  get generation(): number {
    return this.options.generation;
  }

  /** How the one that goes on stands, or how the last one ended. */
  get lastEnd(): UpdateEnd | undefined {
    return this.last;
  }

  /** Calls back once, later. Throws RefusedError or SystemError where it cannot begin. */
  start(order: UpdateOrder, onEnd: (end: UpdateEnd) => void): void {
    if (this.isActive) throw new RefusedError(ALREADY_ACTIVE);
    const obstacles = this.options.survivor.obstacles();
    if (obstacles.length > 0) throw new RefusedError(`Cannot update: ${obstacles.join("; ")}`);
    const { argv0, words } = this.options;
    const program: Program = {
      binary: openBinary(order.binary),
      argv: [argv0, ...(order.words ?? words)],
      name: order.binary,
    };
    const done = (end: UpdateEnd): void => {
      program.binary[Symbol.dispose]();
      this.holder = undefined;
      this.last = end;
      onEnd(end);
      if (end.kind !== "left") this.whenOver();
    };
    try {
      if (order.isDryRun) this.hold(program, order, { goal: "rehearse", onEnd: done });
      else if (order.way === "promote") this.hold(program, order, { goal: "promote", onEnd: done });
      else this.inPlace(program, order, done);
    } catch (error) {
      program.binary[Symbol.dispose]();
      throw error;
    }
  }

  cancel(reason: string): void {
    this.holder?.cancel(reason);
  }

  /** Another program serves, and this one is about to be gone. */
  get hasLeft(): boolean {
    return this.last?.kind === "left";
  }

  /**
   * This program is to end: what goes on is taken back. Calls back when nothing does; where it is
   * too late for that, the new program is told to end by SIGTERM, and this one leaves.
   */
  quit(reason: string, done: () => void = () => undefined): void {
    if (this.last?.kind === "left") {
      using successor = openPidfd(this.last.pid);
      if (successor !== undefined) signalPidfd(successor, SIGNAL.terminate);
    } else if (this.holder === undefined) {
      done();
    } else {
      this.whenOver = done;
      this.holder.quit(reason);
    }
  }
  private whenOver = (): void => undefined;

  private inPlace(program: Program, order: UpdateOrder, done: (end: UpdateEnd) => void): void {
    const rehearsed = (end: UpdateEnd): void => {
      if (end.kind !== "rehearsed") return done(end);
      const { report } = end;
      guarded(
        () => this.becomeOther(program, order, { report, done }),
        (reason) => done({ kind: "failed", reason, report }),
      );
    };
    this.hold(program, order, { goal: "rehearse", onEnd: rehearsed });
  }

  /** It could serve: a keeper is started, and then this process becomes it. */
  private becomeOther(
    program: Program,
    order: UpdateOrder,
    { report, done }: { readonly report: UpdateReport; readonly done: (end: UpdateEnd) => void },
  ): void {
    const { self, argv0, words, environment } = this.options;
    const old: Program = {
      binary: openForReading(OWN_EXECUTABLE),
      argv: [argv0, ...self.words, ...words],
      name: "the program that runs now",
    };
    using undo = new DisposableStack();
    undo.use(old.binary);
    this.hold(old, order, {
      goal: "keep",
      known: report,
      becomeProgram: (handed) => becomeProgram(program, handed, old, environment),
      onEnd(kept) {
        old.binary[Symbol.dispose]();
        done(kept);
      },
    });
    undo.move();
  }

  private hold(
    program: Program,
    order: UpdateOrder,
    how: Pick<HolderOptions, "goal" | "onEnd"> &
      Partial<Pick<HolderOptions, "known" | "becomeProgram">>,
  ): void {
    const { survivor, waiter, self, generation } = this.options;
    const launched = startHeir(self, program, {
      is_known: how.goal === "keep",
      sha256: order.sha256 ?? null,
      probe_ms: Math.floor(order.prepareMs * PROBE_SHARE),
    });
    this.holder = new Holder({
      survivor,
      waiter,
      launched,
      way: order.way,
      generation: generation + 1,
      binary: order.binary,
      prepareMs: order.prepareMs,
      pauseMs: order.pauseMs,
      pauseMsMax: order.pauseMsMax,
      known: undefined,
      becomeProgram: undefined,
      ...how,
    });
  }
}
