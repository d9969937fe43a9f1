// What clients are in the middle of: open transactions, requests in part, answers and events that
// they have not taken. An update of ours carries all of it; a stock daemon in our place has to wait
// for some (stock-update.ts). Whose it is, and since when: noticed by looking once in a while, so
// that a request costs nothing for it.

import * as v from "valibot";
import { monotonicMs, peerProcessOf, processNameOf } from "../sys/index.ts";
import type { XenStore } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { StockKind } from "./stock-dump.ts";

const What = v.picklist(["transaction", "request", "output"]);
type What = v.InferOutput<typeof What>;

/** What a client is in the middle of, as `agent live-update --status` shows it. */
export const UnfinishedSchema = v.object({
  connection: v.number(),
  kind: v.picklist(["socket", "ring"]),
  domid: v.number(),
  /** Who connected, and its name; null for rings, and where nobody can tell. */
  pid: v.nullable(v.number()),
  program: v.nullable(v.string()),
  what: What,
  /** Open transactions, or bytes. */
  amount: v.number(),
  /** Since the daemon has noticed it. */
  for_ms: v.number(),
  /** Those of the stock daemons that cannot take over meanwhile. */
  blocks: v.array(v.picklist(["c", "oxenstored"] satisfies StockKind[])),
});
export type UnfinishedRow = v.InferOutput<typeof UnfinishedSchema>;

/** The daemon, as far as it is looked at. */
export interface Looked {
  readonly store: Pick<XenStore, "counts" | "connectionInfo" | "oldestTransaction">;
  allClients(): readonly Client[];
}

interface Found {
  readonly client: Client;
  readonly what: What;
  readonly amount: number;
  /** Another number for another transaction, request or answer. */
  readonly mark: number;
}

const BLOCKS: Readonly<Record<What, readonly StockKind[]>> = {
  transaction: ["c", "oxenstored"],
  request: ["oxenstored"],
  output: ["oxenstored"],
};
const MS_PER_SECOND = 1000;

export class Unfinished {
  private seen = new Map<string, { readonly mark: number; readonly sinceMs: number }>();

  /** Notes what is there, for those who ask later. */
  look(daemon: Looked): void {
    this.rowsOf(daemon);
  }

  /** The oldest first. */
  rows(daemon: Looked): UnfinishedRow[] {
    return this.rowsOf(daemon)
      .toSorted((a, b) => a.sinceMs - b.sinceMs)
      .map(({ found: { client, what, amount }, sinceMs }) => {
        const { connection, socket, domid } = client;
        const pid = socket === undefined ? null : (peerProcessOf(socket.number)?.pid ?? null);
        const kind = socket === undefined ? "ring" : "socket";
        const forMs = Math.round(monotonicMs() - sinceMs);
        const program = pid === null ? null : (processNameOf(pid) ?? null);
        const who = { connection, kind, domid, pid, program } as const;
        return { ...who, what, amount, for_ms: forMs, blocks: [...BLOCKS[what]] };
      });
  }

  private rowsOf(daemon: Looked) {
    const nowMs = monotonicMs();
    const before = this.seen;
    this.seen = new Map();
    return [...unfinished(daemon)].map((found) => {
      const key = `${found.client.serial} ${found.what}`;
      const known = before.get(key);
      const sinceMs = known?.mark === found.mark ? known.sinceMs : nowMs;
      this.seen.set(key, { mark: found.mark, sinceMs });
      return { found, sinceMs };
    });
  }
}

function* unfinished(daemon: Looked): Generator<Found> {
  const { store } = daemon;
  const hasTransactions = store.counts().transactions > 0;
  for (const client of daemon.allClients()) {
    const { connection, outbox, requests, keptBytes } = client;
    const amount = hasTransactions ? store.connectionInfo(connection).transactions : 0;
    const mark = amount === 0 ? 0 : store.oldestTransaction(connection);
    if (amount > 0) yield { client, what: "transaction", amount, mark };
    if (keptBytes > 0) yield { client, what: "request", amount: keptBytes, mark: requests };
    const { queuedBytes, base, start } = outbox;
    if (queuedBytes > 0) yield { client, what: "output", amount: queuedBytes, mark: base + start };
  }
}

const WORDS: Readonly<Record<What, (amount: number) => string>> = {
  transaction: (amount) => (amount === 1 ? "a transaction open" : `${amount} transactions open`),
  request: (amount) => `${amount} bytes of a request sent`,
  output: (amount) => `${amount} bytes not read`,
};

/** connection 5 (process 812, xl): a transaction open for 3.2 s */
export function describeUnfinished(row: Omit<UnfinishedRow, "blocks">): string {
  const { connection, kind, domid, pid, program, what, amount, for_ms } = row;
  const named = program === null ? "" : `, ${program}`;
  const who = kind === "ring" ? `domain ${domid}` : `process ${pid ?? "unknown"}${named}`;
  const seconds = (for_ms / MS_PER_SECOND).toFixed(1);
  return `connection ${connection} (${who}): ${WORDS[what](amount)} for ${seconds} s`;
}
