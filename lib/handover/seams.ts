// A program that goes through a stream from its start to its end, as one that can be replaced.
//
// Theory of Operation. Such a program has a parent that waits for its pid, so it is replaced in
// place. Its state is whole only at a seam: between two records of the stream, between two rounds.
// Everything that comes before the pause (the rehearsal, the keeper's start) goes on beside the
// stream, in the same poll as its other duties; the pause itself waits for the next seam, where the
// program is held in pass() until it has become the other one, or goes on. A seam that does not
// come in time ends the update, and nothing has happened.
//
// All of the state is in the difference: what there is of it is small.

import * as v from "valibot";
import { Bug, RefusedError, SystemError } from "../base/index.ts";
import {
  createMemfd,
  type Environment,
  type Fd,
  type PollSet,
  writeBytesAt,
} from "../sys/index.ts";
import type { SelfCommand } from "./launch.ts";
import { ORDER_ENTRIES, orderedBy } from "./order.ts";
import type { PollWaiter } from "./poll-waiter.ts";
import { answer, digestOf, probeFor } from "./seam-talk.ts";
import {
  type CarriedDescriptor,
  type Counts,
  NO_REPORT,
  type Survivor,
  type UpdateReport,
} from "./survivor.ts";
import { ALREADY_ACTIVE, type UpdateEnd, Updater } from "./update.ts";

export interface SeamProgram {
  readonly kind: string;
  readonly stateVersion: number;
  obstacles(): readonly string[];
  counts(): Counts;
  /** All of its state. Away from a seam: of the same form, and nobody goes on with it. */
  state(): Uint8Array;
  descriptors(): readonly CarriedDescriptor[];
  isAtSeam(): boolean;
}

/** How this program was started, and what it is. */
export interface SeamSettings {
  readonly self: SelfCommand;
  readonly argv0: string;
  /** The words behind it that make this program what it is. */
  readonly words: readonly string[];
  readonly environment: Environment;
  readonly version: string;
}

/** What `agent live-update` asks for. */
const OrderSchema = v.union([
  v.strictObject({ status: v.literal(true) }),
  v.strictObject(ORDER_ENTRIES),
]);

const PAUSE_MS = 20_000;
/** The carried descriptor of whoever waits for the outcome. */
export const ASKER = "asker";

/** A duty of the program: enter and serve belong into its poll, pass() at its seams. */
export class Seams implements Disposable {
  readonly waiter: PollWaiter;
  private readonly program: SeamProgram;
  private readonly updater: Updater;
  private asker: Fd | undefined;
  /** Is to be called at the next seam: then the program is paused. */
  private pending: (() => void) | undefined;
  private isPaused = false;

  constructor(
    program: SeamProgram,
    settings: SeamSettings,
    { waiter, generation }: { readonly waiter: PollWaiter; readonly generation: number },
  ) {
    this.program = program;
    this.waiter = waiter;
    const { self, argv0, words, environment } = settings;
    const survivor = this.survivor();
    this.updater = new Updater({ survivor, waiter, self, argv0, words, environment, generation });
  }

  dueInMs(): number {
    return this.waiter.dueInMs();
  }

  enter(poll: PollSet): void {
    this.waiter.enter(poll);
  }

  serve(poll: PollSet): void {
    this.waiter.serve(poll);
    this.pass();
  }

  /** To be called at a seam where the stream flows; where it is waited for, serve() is enough. */
  pass(): void {
    if (this.pending === undefined || !this.program.isAtSeam()) return;
    const go = this.pending;
    this.pending = undefined;
    go();
    while (this.isPaused) this.waiter.turn(Infinity);
  }

  /** Somebody asks for an update, or how things stand. Owns the asker's descriptor. */
  order(text: string, asker: Fd): void {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), OrderSchema), text);
    if (!parsed.success) return asker[Symbol.dispose]();
    const order = parsed.output;
    if ("status" in order) return answer(asker, this.status());
    const refuse = (reason: string): void =>
      answer(asker, { kind: "failed", reason, report: this.emptyReport(order.binary) });
    if (this.updater.isActive) return refuse(ALREADY_ACTIVE);
    if (order.way === "promote") {
      return refuse("who has started this program waits for its pid: wanted the way in-place");
    }
    try {
      this.updater.start(
        {
          ...orderedBy(order),
          words: undefined,
          way: "in_place",
          pauseMs: PAUSE_MS,
        },
        (end) => this.ended(end),
      );
      this.asker = asker;
    } catch (error) {
      if (!(error instanceof RefusedError) && !(error instanceof SystemError)) throw error;
      refuse(error.message);
    }
  }

  /** The stream is over. */
  end(): void {
    this.updater.cancel("the stream has ended");
    this.pending = undefined;
  }

  survivor(): Survivor {
    const { program } = this;
    return {
      kind: program.kind,
      stateVersion: program.stateVersion,
      settings: "",
      obstacles: () => program.obstacles(),
      counts: () => program.counts(),
      snapshot() {
        const file = createMemfd(program.kind);
        const bytes = program.state();
        writeBytesAt(file, bytes, 0);
        const close = (): void => file[Symbol.dispose]();
        return { file, digest: digestOf(bytes), advance: () => true, [Symbol.dispose]: close };
      },
      descriptors: () => {
        const { asker } = this;
        const all = program.descriptors();
        return asker === undefined ? all : [...all, { key: ASKER, fd: asker }];
      },
      whenPausable: (go) => {
        this.pending = go;
      },
      pause: () => {
        this.isPaused = true;
      },
      resume: () => {
        this.isPaused = false;
      },
      difference: () => program.state(),
      digest: () => digestOf(program.state()),
      probe: () => probeFor(program.state()),
      adoptAgain() {
        throw new Bug("in place, only a keeper adopts again");
      },
      leave() {
        throw new Bug("in place, the program that is replaced does not leave");
      },
    };
  }

  private ended(end: UpdateEnd): void {
    this.isPaused = false;
    this.pending = undefined;
    const { asker } = this;
    this.asker = undefined;
    if (asker !== undefined) answer(asker, end);
  }

  private status(): object {
    const { updater, program } = this;
    return {
      kind: "status",
      generation: updater.generation,
      is_active: updater.isActive,
      way: "in_place",
      carried: program.counts(),
      blocked_by: program.obstacles(),
      last: updater.lastEnd ?? null,
    };
  }

  private emptyReport(binary: string): UpdateReport {
    return {
      ...NO_REPORT,
      way: "in_place",
      generation: this.updater.generation,
      binary,
      counts: this.program.counts(),
    };
  }

  [Symbol.dispose](): void {
    this.end();
    this.waiter[Symbol.dispose]();
  }
}
