// CONTROL agent-stats: what `agent store top` shows. The document does not fit one reply, so it is
// asked for in parts: "agent-stats 0" makes it, and with an offset the next part of the same one is
// sent. A part begins with the length of the whole and a line feed. What takes time (names of
// processes) is left to whoever asks.

import * as v from "valibot";
import { monotonicMs, peerProcessOf } from "../sys/index.ts";
import { type ControlAnswer, type QuotaName, QUOTAS, type XenStore } from "../xenstore/index.ts";
import type { Client } from "./client.ts";

const count = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what));
const usage = v.strictObject({ used: count("in use"), limit: count("0: no limit") });

export const StoreStatisticsSchema = v.strictObject({
  pid: count("the daemon's process"),
  at_ms: v.pipe(v.number(), v.description("its clock, for rates")),
  uptime_ms: v.pipe(v.number(), v.description("since it began to serve")),
  requests: count("carried out since then, for all clients"),
  resident_bytes: count("memory of the process"),
  counts: v.strictObject({
    nodes: count("in the store"),
    watches: count("of all clients"),
    transactions: count("open"),
    connections: count("sockets and rings"),
    domains: count("known"),
    used_bytes: count("of the arena"),
    arena_bytes: count("its length"),
  }),
  connections: v.array(
    v.strictObject({
      connection: count("its number"),
      kind: v.picklist(["socket", "ring"]),
      domid: count("the domain; of a socket the one it stands for"),
      pid: v.nullable(count("who connected; null for rings")),
      requests: count("carried out since it came"),
      watches: count("registered"),
      transactions: count("open"),
      queued_bytes: count("answers and events it has not taken"),
    }),
  ),
  domains: v.array(
    v.strictObject({
      domid: count("the domain"),
      introduced: v.boolean(),
      target: v.nullable(count("the domain it acts for")),
      quotas: v.record(v.string(), usage),
    }),
  ),
});
export type StoreStatistics = v.InferOutput<typeof StoreStatisticsSchema>;

/** The limits that are of interest while a domain runs; others are about single nodes. */
const SHOWN: readonly QuotaName[] = ["nodes", "watches", "transactions", "memory"];
const PART_BYTES = 4000;

/** The daemon, as far as it is looked at. */
export interface Watched {
  readonly store: XenStore;
  allClients(): readonly Client[];
  /** Carried out since it was made. */
  readonly requests: number;
}

export class Statistics {
  private readonly startMs = monotonicMs();
  /** What the last asker is being sent. */
  private document: Uint8Array = new Uint8Array(0);

  answer(parameters: readonly string[], watched: Watched): ControlAnswer {
    const [word = "0"] = parameters;
    if (parameters.length > 1 || !/^[0-9]{1,9}$/.test(word)) return { error: "EINVAL" };
    const from = Number(word);
    if (from === 0) {
      const document = JSON.stringify(this.take(watched));
      this.document = new TextEncoder().encode(document);
    }
    const part = this.document.subarray(from, from + PART_BYTES);
    return { text: `${this.document.length}\n${Buffer.from(part).toString("latin1")}` };
  }

  private take(daemon: Watched): StoreStatistics {
    const atMs = monotonicMs();
    const { store, requests } = daemon;
    const counts = store.counts();
    return {
      pid: process.pid,
      at_ms: atMs,
      uptime_ms: atMs - this.startMs,
      requests,
      resident_bytes: process.memoryUsage.rss(),
      counts: {
        nodes: counts.nodes,
        watches: counts.watches,
        transactions: counts.transactions,
        connections: counts.connections,
        domains: counts.domains,
        used_bytes: counts.usedBytes,
        arena_bytes: counts.arenaBytes,
      },
      connections: daemon.allClients().map((client) => connectionRow(store, client)),
      domains: store.domains().map(({ domid, isIntroduced, target, usage: used }) => ({
        domid,
        introduced: isIntroduced,
        target: target ?? null,
        quotas: Object.fromEntries(
          QUOTAS.filter(({ name }) => SHOWN.includes(name)).map(({ name }) => [name, used[name]]),
        ),
      })),
    };
  }
}

function connectionRow(store: XenStore, client: Client): StoreStatistics["connections"][number] {
  const { connection, kind, domid, watches, transactions } = store.connectionInfo(
    client.connection,
  );
  const pid = client.socket === undefined ? undefined : peerProcessOf(client.socket.number)?.pid;
  const { outbox, requests } = client;
  return {
    connection,
    kind,
    domid,
    pid: pid ?? null,
    requests,
    watches,
    transactions,
    queued_bytes: outbox.queuedBytes,
  };
}
