// What `agent store top` shows: rates and totals, then clients and domains, the busiest first.

import type { StoreStatistics } from "../../lib/store-daemon/index.ts";
import { formatBytes, formatCount, formatDuration } from "./numbers.ts";
import { type Column, table, type TextStyle } from "./text-layout.ts";

/** One look at the daemon, with what only we know of it. */
export interface TopView {
  readonly now: StoreStatistics;
  /** The look before; undefined at the first, and when the daemon is another one since. */
  readonly before: StoreStatistics | undefined;
  /** Names of processes by their number. */
  readonly names: ReadonlyMap<number, string>;
}

type Connection = StoreStatistics["connections"][number];

/** Requests a second, of all and by connection; since the start where there is no look before. */
export function ratesOf({ now, before }: Pick<TopView, "now" | "before">): {
  readonly all: number;
  of(connection: Connection): number;
} {
  const from = before ?? { requests: 0, at_ms: now.at_ms - now.uptime_ms, connections: [] };
  const seconds = Math.max((now.at_ms - from.at_ms) / 1000, 0.001);
  const counted = new Map(from.connections.map((one) => [one.connection, one.requests]));
  return {
    all: (now.requests - from.requests) / seconds,
    of({ connection, requests }) {
      const earlier = counted.get(connection) ?? 0;
      return (requests >= earlier ? requests - earlier : requests) / seconds; // Another client now.
    },
  };
}

const CONNECTION_COLUMNS: readonly Column[] = [
  { title: "client" },
  { title: "process" },
  { title: "ops/s", align: "right" },
  { title: "requests", align: "right", drop: 2 },
  { title: "watches", align: "right" },
  { title: "open tx", align: "right" },
  { title: "queued", align: "right", drop: 1 },
];
const DOMAIN_COLUMNS: readonly Column[] = [
  { title: "domain" },
  ...["nodes", "watches", "transactions", "memory"].map((title): Column => ({
    title,
    align: "right",
  })),
];

/** At most so many lines (undefined: all); the last ones go. */
export function renderTop(
  view: TopView,
  { style, lines: most }: { readonly style: TextStyle; readonly lines: number | undefined },
): string {
  const { now } = view;
  const rates = ratesOf(view);
  const { counts } = now;
  const room = most === undefined ? Number.POSITIVE_INFINITY : Math.max(most - 6, 2);
  const domainRows = now.domains.map(domainRow);
  const shownDomains = domainRows.slice(0, Math.max(1, Math.floor(room / 3)));
  const clients = now.connections.toSorted((a, b) => rates.of(b) - rates.of(a));
  const shownClients = clients.slice(0, room - shownDomains.length);
  const lines = [
    `pid ${now.pid}, up ${formatDuration(now.uptime_ms / 1000)}, ` +
      `${rateText(rates.all)} operations/s, ${formatCount(now.requests)} in all`,
    `${formatCount(counts.nodes)} nodes, ${formatCount(counts.watches)} watches, ` +
      `${formatCount(counts.transactions)} transactions, ` +
      `${formatCount(counts.connections)} connections; ` +
      `memory ${formatBytes(now.resident_bytes)}, store ${formatBytes(counts.used_bytes)}`,
    "",
    ...table(
      CONNECTION_COLUMNS,
      shownClients.map((one) => connectionRow(one, view, rates.of(one))),
      style,
    ),
    "",
    ...table(DOMAIN_COLUMNS, shownDomains, style),
  ];
  return `${lines.join("\n")}\n`;
}

const rateText = (rate: number): string =>
  rate >= 100 || rate === 0 ? formatCount(Math.round(rate)) : rate.toFixed(1);

function connectionRow(one: Connection, { names }: TopView, rate: number): string[] {
  const name = one.pid === null ? "" : `${names.get(one.pid) ?? "gone"} (${one.pid})`;
  return [
    one.kind === "ring" ? `domain ${one.domid}` : `socket ${one.connection}`,
    name,
    rateText(rate),
    formatCount(one.requests),
    formatCount(one.watches),
    formatCount(one.transactions),
    one.queued_bytes === 0 ? "0" : formatBytes(one.queued_bytes),
  ];
}

function domainRow({ domid, quotas }: StoreStatistics["domains"][number]): string[] {
  const cell = (name: string): string => {
    const { used = 0, limit = 0 } = quotas[name] ?? {};
    const format = name === "memory" ? formatBytes : formatCount;
    return limit === 0 || domid === 0 ? format(used) : `${format(used)}/${format(limit)}`;
  };
  return [String(domid), ...["nodes", "watches", "transactions", "memory"].map(cell)];
}
