// Updates of this program to a stock daemon, one at a time: who asked, and what is answered when.

import { OwedResult } from "./owed-result.ts";
import type { ControlAnswer, ControlRequest } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { StockKind } from "./stock-dump.ts";
import {
  type StockEnd,
  type StockOrder,
  StockUpdate,
  type StockUpdateParts,
} from "./stock-update.ts";

interface Current {
  readonly update: StockUpdate;
  readonly order: StockOrder;
  readonly client: Client | undefined;
}

export interface StockUpdatesParts extends Omit<StockUpdateParts, "onEnd"> {
  /** What each is started with where nobody says so. */
  readonly stockWords: (kind: StockKind) => readonly string[];
  readonly generation: number;
  readonly log: (line: string) => void;
  /** It did not come to an update, and nothing goes on any more. */
  readonly onOver: () => void;
}

export type StockWish = Omit<StockOrder, "words" | "asker" | "generation"> & {
  readonly words: readonly string[] | undefined;
  /** The answer is our JSON report. */
  readonly wantsReport: boolean;
};

const GONE = "whoever asked for the update has gone";
const ASKER_LOOK_MS = 50;

export class StockUpdates {
  private readonly parts: StockUpdatesParts;
  private current: Current | undefined;
  private owed: OwedResult | undefined;

  constructor(parts: StockUpdatesParts) {
    this.parts = parts;
  }

  get isActive(): boolean {
    return this.current !== undefined;
  }

  begin(request: ControlRequest, wish: StockWish): ControlAnswer {
    const { running, stockWords, generation } = this.parts;
    const { connection, requestId: request_id, transactionId: transaction_id } = request;
    const { wantsReport: wants_report, words = stockWords(wish.program.kind), ...rest } = wish;
    const asker = { connection, request_id, transaction_id, wants_report };
    const order: StockOrder = { ...rest, words, asker, generation: generation + 1 };
    const update = new StockUpdate(order, { ...this.parts, onEnd: (end) => this.ended(end) });
    this.current = { update, order, client: running.daemon.client(order.asker.connection) };
    this.owed = undefined;
    update.start();
    this.watchAsker();
    return isPolled(order) ? { text: update.firstAnswer } : "later";
  }

  /** The answer to somebody who asks again how it went; undefined: it is another request. */
  poll(request: ControlRequest): ControlAnswer | undefined {
    const owed = this.owed?.take(request);
    if (owed !== undefined) return owed;
    const { current } = this;
    const isAsker = current?.order.asker.connection === request.connection;
    return isAsker && request.parameters[0] === "-s" ? { text: "BUSY" } : undefined;
  }

  cancel(reason: string): void {
    this.current?.update.cancel(reason);
  }

  /** Whoever asked may take it back by going away. */
  private watchAsker(): void {
    const { current, parts } = this;
    parts.running.loop.after(ASKER_LOOK_MS, () => {
      if (current === undefined || this.current !== current) return;
      if (current.client?.isClosed === true) current.update.cancel(GONE);
      else this.watchAsker();
    });
  }

  private ended(end: StockEnd): void {
    const { current } = this;
    this.current = undefined;
    if (current === undefined) return;
    this.parts.onOver();
    const { asker } = current.order;
    const why = end.kind === "failed" ? end.reason : end.kind;
    this.parts.log(end.kind === "failed" ? `live update failed: ${why}` : `live update: ${why}`);
    const text = asker.wants_report ? JSON.stringify(end) : why;
    if (current.client?.isClosed === true) return;
    if (isPolled(current.order)) {
      this.owed = new OwedResult(text, [asker.connection]);
      return;
    }
    const { connection, request_id: requestId, transaction_id: transactionId } = asker;
    const request = { connection, requestId, transactionId, parameters: [] };
    this.parts.running.daemon.answerControl({ ...request, command: "live-update" }, { text });
  }
}

/** oxenstored tells how it went when it is asked again, and so do we. */
const isPolled = ({ program, isDryRun }: StockOrder): boolean =>
  program.kind === "oxenstored" && !isDryRun;
