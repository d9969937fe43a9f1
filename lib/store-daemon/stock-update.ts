// Our place given to a stock daemon: its state written as it reads it, and its program executed in
// this very process, with the descriptors that the state names.
//
//   ask       the binary, with the words that it will get, for its help; everybody is served on
//   wait      for what its format cannot carry to pass: open transactions; for oxenstored requests in
//             part and output, too. What does not pass (watch depths, targets) is refused at once
//   pause     write the state down, read it back, compare; close-on-exec comes off the descriptors
//             that it names; execute
//
// An exec that fails returns: what was undone is done again, and we serve on. After it nothing of
// us is left, so that all that can be checked is checked before. Who asked is answered as each of
// them does: by the C xenstored, which finds the answer in the output that it takes over; by
// oxenstored when it is asked again, and so by us until then: BUSY.

import { realpathSync } from "node:fs";
import { RefusedError, SystemError } from "../base/index.ts";
import { StreamError } from "../bytes/index.ts";
import {
  cleanEnvironment,
  type Environment,
  keepOnlyOnExec,
  makeBlocking,
  makeNonBlocking,
  monotonicMs,
  removeName,
  replaceProgram,
} from "../sys/index.ts";
import {
  describeLoss,
  type Loss,
  losses,
  StoreDamagedError,
  type StoreState,
} from "../xenstore/index.ts";
import type { Asker } from "./live-parts.ts";
import type { Running } from "./running.ts";
import { stockDump } from "./stock-dump.ts";
import { askForHelp, stockArguments, STOCK_NAME, type StockProgram } from "./stock-program.ts";
import {
  isCostly,
  stateOfRunning,
  stockTarget,
  verifiedDump,
  withAnswer,
  writeDump,
} from "./stock-state.ts";
import { describeUnfinished, type Unfinished } from "./unfinished.ts";

/** As it was compiled; /var/run is a link to /run. */
const OXENSTORED_FOLDER = "/run/xenstored";

export interface StockOrder {
  readonly program: StockProgram;
  /** What it is started with, besides what makes it take over. */
  readonly words: readonly string[];
  readonly isDryRun: boolean;
  /** Do it, whatever its format cannot carry, once the time is over. */
  readonly allowsLosses: boolean;
  readonly waitMs: number;
  readonly asker: Asker;
  readonly generation: number;
}

export interface StockReport {
  readonly way: "in_place";
  readonly generation: number;
  readonly binary: string;
  readonly sha256: null;
  readonly version: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly phases_ms: Readonly<Record<string, number>>;
  readonly pause_ms: { readonly predicted: null; readonly measured: null };
}

/** As `agent live-update` prints it. */
export type StockEnd = {
  readonly report: StockReport;
  /** What the new program does not have, each with what becomes of it. */
  readonly losses: readonly string[];
} & (
  | { readonly kind: "updated" | "left" | "rehearsed" }
  | { readonly kind: "failed"; readonly reason: string }
);

export interface StockUpdateParts {
  readonly running: Running;
  readonly environment: Environment;
  /** Where it looks for the state. */
  readonly runFolder: string;
  readonly unfinished: Unfinished;
  /** It did not come to it: we serve on. */
  readonly onEnd: (end: StockEnd) => void;
}

const RETRY_MS = 10;
const BLOCKING_SHOWN = 8;
const RUN_FOLDER_VARIABLE = "XENSTORED_RUNDIR";

export class StockUpdate {
  private readonly order: StockOrder;
  private readonly parts: StockUpdateParts;
  private readonly startMs = monotonicMs();
  private readonly phasesMs: Record<string, number> = {};
  private cancelled: string | undefined;
  private lost: readonly Loss[] = [];

  constructor(order: StockOrder, parts: StockUpdateParts) {
    this.order = order;
    this.parts = parts;
  }

  /** Calls back later, unless the other one serves by then. */
  start(): void {
    const { running, environment, unfinished } = this.parts;
    unfinished.look(running.daemon); // What stands in the way is so old at least.
    askForHelp({
      loop: running.loop,
      argv: this.argv,
      environment,
      onAnswer: (wrong) => {
        this.noteMs("ask", this.startMs);
        if (wrong !== undefined) this.fail(wrong);
        else this.attempt();
      },
    });
  }

  cancel(reason: string): void {
    this.cancelled ??= reason;
  }

  get report(): StockReport {
    const { program, generation } = this.order;
    const { nodes, watches, connections, domains } = this.parts.running.daemon.store.counts();
    return {
      way: "in_place",
      generation,
      binary: program.path,
      sha256: null,
      version: STOCK_NAME[program.kind],
      counts: { nodes, watches, connections, domains },
      phases_ms: this.phasesMs,
      pause_ms: { predicted: null, measured: null },
    };
  }

  private get argv(): string[] {
    return stockArguments(this.order.program, this.order.words);
  }

  /** Again and again until it can be, or the time is over. */
  private attempt(): void {
    const { cancelled, order } = this;
    const { running } = this.parts;
    if (cancelled !== undefined) return this.fail(cancelled);
    const isLate = monotonicMs() - this.startMs >= order.waitMs;
    if (!isLate && this.isBusy()) {
      running.loop.after(RETRY_MS, () => this.attempt());
      return;
    }
    running.daemon.pause();
    try {
      const done = this.handOver(); // Only a dry run comes back.
      running.daemon.resume();
      this.parts.onEnd({ kind: done, ...this.told() });
    } catch (error) {
      if (!isExpected(error)) throw error;
      running.daemon.resume();
      this.fail(error.message);
    }
  }

  /** What passes by itself. */
  private isBusy(): boolean {
    const { daemon } = this.parts.running;
    if (daemon.store.counts().transactions > 0) return true;
    return this.order.program.kind === "oxenstored" && daemon.allClients().some(isUnfinished);
  }

  private handOver(): "rehearsed" {
    const { order, parts } = this;
    const { running, runFolder } = parts;
    const { program, asker } = order;
    const pausedMs = monotonicMs();
    const bare = stateOfRunning(running);
    const target = stockTarget(program);
    this.lost = losses(bare, target).filter(isCostly);
    if (this.lost.length > 0 && !order.allowsLosses) {
      const names = [...this.lost.map(describeLoss), ...this.blocking()].join("; ");
      throw new RefusedError(`Cannot hand over to ${STOCK_NAME[program.kind]}: ${names}`);
    }
    if (running.listeners.length !== 1) {
      const found = `wanted one listening socket, found ${running.listeners.length}`;
      throw new RefusedError(`Cannot hand over to ${STOCK_NAME[program.kind]}: ${found}`);
    }
    if (program.kind === "oxenstored" && realpathSync(runFolder) !== OXENSTORED_FOLDER) {
      const found = `it reads its store in ${OXENSTORED_FOLDER} only, ours is in ${runFolder}`;
      throw new RefusedError(`Cannot hand over to ${STOCK_NAME[program.kind]}: ${found}`);
    }
    this.noteMs("state", pausedMs);
    const state = program.kind === "c" ? withAnswer(bare, asker, this.answer("updated")) : bare;
    const dumpMs = monotonicMs();
    const dump = verifiedDump(state, target);
    this.noteMs("dump", dumpMs);
    if (order.isDryRun) return "rehearsed";
    const { path } = stockDump(program.kind, runFolder);
    writeDump(path, dump);
    try {
      this.execute(state);
    } catch (error) {
      removeName(path);
      throw error;
    }
  }

  /** Who is in the middle of something that its format cannot carry, the oldest first. */
  private blocking(): string[] {
    const { unfinished, running } = this.parts;
    const { kind } = this.order.program;
    const rows = unfinished.rows(running.daemon).filter(({ blocks }) => blocks.includes(kind));
    const shown = rows.slice(0, BLOCKING_SHOWN).map(describeUnfinished);
    const more = rows.length - shown.length;
    return more > 0 ? [...shown, `and ${more} more`] : shown;
  }

  private execute(state: StoreState): never {
    const { order, argv } = this;
    const { running, environment, runFolder } = this.parts;
    const { hypervisor } = running;
    const { socketFd, eventChannelFd } = state.global;
    const isC = order.program.kind === "c";
    const kept = [socketFd, eventChannelFd].filter((fd) => fd !== null);
    for (const client of running.daemon.allClients()) {
      // A stock daemon takes all that stands on a ring for requests that were not carried out.
      client.release();
      const { socket } = client;
      if (socket === undefined) continue;
      makeBlocking(socket); // Neither knows EAGAIN in the middle of a message.
      kept.push(socket.number);
    }
    for (const listener of running.listeners) makeBlocking(listener);
    if (isC) hypervisor.releaseChanges(); // It binds VIRQ_DOM_EXC for itself.
    try {
      keepOnlyOnExec(new Set(kept));
      const variables = cleanEnvironment(environment);
      if (isC) variables[RUN_FOLDER_VARIABLE] = runFolder;
      replaceProgram(order.program.path, { argv, environment: variables });
    } catch (error) {
      keepOnlyOnExec(new Set());
      for (const listener of running.listeners) makeNonBlocking(listener);
      if (isC) hypervisor.bindChanges();
      throw error;
    }
  }

  /** The text for who asked, as its C successor tells it. */
  private answer(kind: "updated" | "left"): string {
    if (!this.order.asker.wants_report) return "OK";
    const end: StockEnd = { kind, ...this.told() };
    return JSON.stringify(end);
  }

  /** What is said at once where the successor tells the end only when it is asked again. */
  get firstAnswer(): string {
    return this.order.asker.wants_report ? this.answer("left") : "BUSY";
  }

  private told(): Pick<StockEnd, "report" | "losses"> {
    return { report: this.report, losses: this.lost.map(describeLoss) };
  }

  private fail(reason: string): void {
    this.parts.onEnd({ kind: "failed", reason, ...this.told() });
  }

  private noteMs(phase: string, sinceMs: number): void {
    this.phasesMs[phase] = Math.round((monotonicMs() - sinceMs) * 1000) / 1000;
  }
}

const isExpected = (error: unknown): error is Error =>
  error instanceof RefusedError ||
  error instanceof SystemError ||
  error instanceof StreamError ||
  error instanceof StoreDamagedError;

const isUnfinished = ({
  pending,
  outbox,
}: {
  readonly pending: unknown;
  readonly outbox: { readonly queuedBytes: number };
}): boolean => pending !== undefined || outbox.queuedBytes > 0;
