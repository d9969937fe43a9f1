// CONTROL live-update of the store daemon, as xenstore-control asks for it (the C daemon's answers,
// xen tools/xenstored/lu.c), and our own orders beside it:
//
//   -f FILE            this binary; the session belongs to the connection that says so
//   -c CMDLINE         its words, split at blanks, in place of ours
//   -s [-t S] [-F] [-v N]   do it; answered when it is done, by whoever serves then. Nothing waits
//                      for clients here: -F and -v are for a stock daemon in our place
//                      (stock-updates.ts), which a binary is told to be by its contents
//   -a                 forget it
//   --order JSON       a whole order of `agent live-update`, answered with a report
//   --status           what could be carried now, and how the last update went

import * as v from "valibot";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  ALREADY_ACTIVE,
  loopWaiter,
  NO_REPORT,
  ORDER_ENTRIES,
  orderedBy,
  type SelfCommand,
  type UpdateEnd,
  Updater,
  type UpdateOrder,
  type Way,
} from "../handover/index.ts";
import type { ControlAnswer, ControlRequest } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { Asker } from "./live-parts.ts";
import { answerAsker, answerOf, lineOf, type StoreSurvivor } from "./live-survivor.ts";
import type { Running } from "./running.ts";
import type { StockKind } from "./stock-dump.ts";
import { isStreamVersion, stockOptions, whyUnfit } from "./stock-options.ts";
import { stockProgram, stockProgramOf } from "./stock-program.ts";
import { StockUpdates } from "./stock-updates.ts";
import { every } from "./repeat.ts";
import { Unfinished } from "./unfinished.ts";

/** How this program was started, for starting it and its successors. */
export interface StartedAs {
  readonly self: SelfCommand;
  readonly argv0: string;
  readonly words: readonly string[];
  readonly version: string;
  /** Nobody waits for this very process: it made itself a daemon, or its manager takes MAINPID. */
  readonly mayChangePid: boolean;
  /** What a stock daemon in our place is started with, and where it looks for the state. */
  readonly stockWords: (kind: StockKind) => readonly string[];
  readonly runFolder: string;
}

export interface LiveUpdateOptions {
  readonly running: Running;
  readonly survivor: StoreSurvivor;
  readonly program: StartedAs;
  readonly generation: number;
  readonly log: (line: string) => void;
  /** Told when the program begins to be replaced, and with false when it goes on itself. */
  readonly announce: (isBegun: boolean) => void;
}

/** The order of `agent live-update`, as JSON. */
export const StoreOrderSchema = v.strictObject({
  ...ORDER_ENTRIES,
  /** What the binary is; one of our own without it. */
  to: v.optional(v.picklist(["agent", "c", "oxenstored"])),
  /** Also where a stock daemon's format cannot carry something. */
  allows_losses: v.optional(v.boolean()),
  /** What it is started with. */
  words: v.optional(v.array(v.string())),
});
export type StoreOrder = v.InferOutput<typeof StoreOrderSchema>;

interface Session {
  readonly client: Client | undefined;
  readonly binary: string;
  words: readonly string[] | undefined;
}

const OK: ControlAnswer = { text: "OK" };
const ACTIVE: ControlAnswer = { text: ALREADY_ACTIVE };
const NO_SESSION: ControlAnswer = { text: "Not in live-update session." };
const PREPARE_MS = 60_000;
const PAUSE_MS = 5000;
const ASKER_LOOK_MS = 50;
const LOOK_MS = 1000;
/** An answer to CONTROL has 4 KiB. */
const UNFINISHED_SHOWN = 6;
const MS_PER_SECOND = 1000;

export class LiveUpdate {
  private readonly options: LiveUpdateOptions;
  private readonly updater: Updater;
  private readonly stock: StockUpdates;
  private readonly unfinished = new Unfinished();
  private session: Session | undefined;

  constructor(options: LiveUpdateOptions) {
    this.options = options;
    const { running, survivor, program, generation, log } = options;
    this.updater = new Updater({
      survivor,
      waiter: loopWaiter(running.loop),
      self: program.self,
      argv0: program.argv0,
      words: program.words,
      environment: program.self.environment,
      generation,
    });
    const { environment } = program.self;
    const { runFolder, stockWords } = program;
    const onOver = (): void => this.over();
    const where = { running, environment, runFolder, stockWords };
    const { unfinished } = this;
    this.stock = new StockUpdates({ ...where, generation, log, onOver, unfinished });
    every(running.loop, LOOK_MS, () => {
      if (running.daemon.isServing) unfinished.look(running.daemon);
    });
  }

  control(request: ControlRequest): ControlAnswer {
    const polled = this.stock.poll(request);
    if (polled !== undefined) return polled;
    const [option = "", ...rest] = request.parameters;
    switch (option) {
      case "-f":
        return rest.length === 1 ? this.choose(request, rest[0]!) : { error: "EINVAL" };
      case "-c":
        return rest.length === 1 ? this.setWords(request, rest[0]!) : { error: "EINVAL" };
      case "-a":
        return rest.length === 0 ? this.abort() : { error: "EINVAL" };
      case "-s":
        return this.startStock(request, rest);
      case "--order":
        return this.startOrdered(request, rest[0] ?? "");
      case "--status":
        return { text: JSON.stringify(this.status()) };
      default:
        return { error: "EINVAL" };
    }
  }

  /**
   * The program is to end: what goes on is taken back. Calls back when nothing does, unless a new
   * program serves by then: that is told to end, and this one leaves.
   */
  quit(reason: string, done: () => void): void {
    if (this.updater.hasLeft) return this.updater.quit(reason);
    if (!this.isActive) return done();
    this.whenOver = done;
    this.updater.quit(reason);
    this.stock.cancel(reason);
  }
  private whenOver = (): void => undefined;

  private over(): void {
    this.options.running.loop.after(0, this.whenOver); // Whoever asked is answered first.
  }

  // ---- The stock session ----

  private choose(request: ControlRequest, binary: string): ControlAnswer {
    if (this.isActive || this.current() !== undefined) return ACTIVE;
    const wrong = whyUnfit(binary);
    if (wrong !== undefined) return { text: wrong };
    this.session = { client: this.clientOf(request), binary, words: undefined };
    return OK;
  }

  private setWords(request: ControlRequest, line: string): ControlAnswer {
    const session = this.sessionOf(request);
    if (session === undefined) return NO_SESSION;
    session.words = line.split(/[ \t]+/).filter((word) => word !== "");
    return OK;
  }

  private abort(): ControlAnswer {
    if (this.current() === undefined && !this.isActive) {
      return { text: "No live-update session active." };
    }
    this.session = undefined;
    this.updater.cancel("Cancellation was requested");
    this.stock.cancel("Cancellation was requested");
    return OK;
  }

  private startStock(request: ControlRequest, options: readonly string[]): ControlAnswer {
    const session = this.sessionOf(request);
    if (session === undefined) return NO_SESSION;
    const given = stockOptions(options);
    if (given === undefined) return { error: "EINVAL" };
    const { version, ...found } = given;
    if (version !== undefined && !isStreamVersion(version)) {
      return { text: "Migration stream version not supported." };
    }
    this.session = undefined;
    const { binary, words } = session;
    const prepareMs = found.seconds === 0 ? PREPARE_MS : found.seconds * MS_PER_SECOND;
    const program = this.isActive ? undefined : stockProgram(binary);
    if (program !== undefined) {
      return this.stock.begin(request, {
        program: { ...program, streamVersion: version ?? program.streamVersion },
        words,
        allowsLosses: found.isForced,
        isDryRun: false,
        wantsReport: false,
        waitMs: prepareMs,
      });
    }
    return this.begin(
      request,
      {
        binary,
        words,
        way: this.wayOf("auto"),
        isDryRun: false,
        sha256: undefined,
        pauseMsMax: undefined,
        prepareMs,
        pauseMs: PAUSE_MS,
      },
      false,
    );
  }

  /** The session, unless its owner has gone: then nobody continues it. */
  private current(): Session | undefined {
    if (this.session?.client?.isClosed === true) this.session = undefined;
    return this.session;
  }

  private sessionOf(request: ControlRequest): Session | undefined {
    const session = this.current();
    return session?.client === this.clientOf(request) ? session : undefined;
  }

  private clientOf({ connection }: ControlRequest): Client | undefined {
    return this.options.running.daemon.client(connection);
  }

  // ---- Our own orders ----

  private startOrdered(request: ControlRequest, text: string): ControlAnswer {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), StoreOrderSchema), text);
    if (!parsed.success) return { error: "EINVAL" };
    const order = parsed.output;
    const { to = "agent" } = order;
    if (to !== "agent") return this.startStockOrdered(request, order, to);
    return this.begin(
      request,
      {
        ...orderedBy(order),
        words: order.words,
        way: this.wayOf(order.way),
        pauseMs: PAUSE_MS,
      },
      true,
    );
  }

  // ---- Stock daemons in our place ----

  private startStockOrdered(request: ControlRequest, ordered: StoreOrder, kind: StockKind) {
    const { binary, words, dry_run: isDryRun, allows_losses: allowsLosses = false } = ordered;
    const { prepare_ms: waitMs } = ordered;
    const order: Wanted = { binary, way: "in_place" };
    if (this.isActive) return { text: answerOf(refused(ALREADY_ACTIVE, order), true) };
    try {
      const program = stockProgramOf(kind, binary);
      const rest = { isDryRun, allowsLosses, waitMs, wantsReport: true };
      return this.stock.begin(request, { program, words, ...rest });
    } catch (error) {
      if (!(error instanceof RefusedError) && !(error instanceof SystemError)) throw error;
      return { text: answerOf(refused(error.message, order), true) };
    }
  }

  private get isActive(): boolean {
    return this.updater.isActive || this.stock.isActive;
  }

  private wayOf(way: StoreOrder["way"]): Way {
    if (way !== "auto") return way === "promote" ? "promote" : "in_place";
    return this.options.program.mayChangePid ? "promote" : "in_place";
  }

  private begin(
    { connection, requestId, transactionId }: ControlRequest,
    order: UpdateOrder,
    wantsReport: boolean,
  ): ControlAnswer {
    const { running, survivor, log, announce } = this.options;
    const asker: Asker = {
      connection,
      request_id: requestId,
      transaction_id: transactionId,
      wants_report: wantsReport,
    };
    if (this.isActive) return { text: answerOf(refused(ALREADY_ACTIVE, order), wantsReport) };
    const client = running.daemon.client(connection);
    try {
      this.updater.start(order, (end) => {
        survivor.over();
        if (end.kind !== "left") {
          if (!order.isDryRun) announce(false);
          answerAsker(running, end);
          this.over();
          log(lineOf(end));
        } // Else the new program tells.
      });
      if (!order.isDryRun) announce(true);
    } catch (error) {
      if (!(error instanceof RefusedError) && !(error instanceof SystemError)) throw error;
      return { text: answerOf(refused(error.message, order), wantsReport) };
    }
    running.asker = asker;
    this.watchAsker(asker, client);
    return "later";
  }

  /** Whoever asked may take it back by going away: this update, not the next one. */
  private watchAsker(asker: Asker, client: Client | undefined): void {
    const { running } = this.options;
    running.loop.after(ASKER_LOOK_MS, () => {
      if (running.asker !== asker || client === undefined) return;
      if (!client.isClosed) return this.watchAsker(asker, client);
      running.asker = undefined;
      this.updater.cancel("whoever asked for the update has gone");
    });
  }

  private status(): unknown {
    const { survivor, running } = this.options;
    const unfinished = this.unfinished.rows(running.daemon);
    return {
      kind: "status",
      generation: this.updater.generation,
      is_active: this.isActive,
      way: this.wayOf("auto"),
      carried: survivor.counts(),
      blocked_by: survivor.obstacles(),
      unfinished: unfinished.slice(0, UNFINISHED_SHOWN),
      unfinished_count: unfinished.length,
      last: this.updater.lastEnd ?? null,
    };
  }
}

type Wanted = Pick<UpdateOrder, "binary" | "way">;

/** Before it began: nothing of an earlier update is told with it. */
const refused = (reason: string, { binary, way }: Wanted): UpdateEnd => ({
  kind: "failed",
  reason,
  report: { ...NO_REPORT, binary, way },
});
