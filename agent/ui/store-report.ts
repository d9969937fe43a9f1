// What `agent store dump`, `convert`, `load` and `diff` tell: their JSON documents, and the same
// for people.

import * as v from "valibot";
import type { LoadStep } from "../../lib/store-client/index.ts";
import type { Loss, StateDifference, StateFormat, StoreState } from "../../lib/xenstore/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";
import { type Column, harmless, table, type TextStyle } from "./text-layout.ts";

const text = (what: string) => v.pipe(v.string(), v.description(what));
const count = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what));
const flag = (what: string) => v.pipe(v.boolean(), v.description(what));
const FORMATS = ["text", "stream", "stream-v2", "json"] as const satisfies readonly StateFormat[];

const SideSchema = v.strictObject({
  name: text("as it was named"),
  kind: v.picklist(["socket", "dump", "arena"]),
  format: v.nullable(v.pipe(v.picklist(FORMATS), v.description("of a dump"))),
  consistent: flag("all of it is of one moment"),
  notes: v.pipe(v.array(v.string()), v.description("what it does not tell, or was not understood")),
  nodes: count("nodes in it"),
  connections: v.nullable(count("null: a socket does not tell")),
  watches: v.nullable(count("null: a socket does not tell")),
  transactions: v.nullable(count("open ones; null: a socket does not tell")),
});
export type SideReport = v.InferOutput<typeof SideSchema>;

export const StoreCopySchema = v.strictObject({
  source: SideSchema,
  to: text("where it went"),
  format: v.picklist(FORMATS),
  bytes: count("of the dump"),
  losses: v.pipe(
    v.array(
      v.strictObject({
        what: text("such as transactions"),
        count: count("how many"),
        consequence: text("what becomes of them"),
        examples: v.pipe(v.array(v.string()), v.description("the first of them")),
      }),
    ),
    v.description("what the format cannot carry"),
  ),
});
export type StoreCopyReport = v.InferOutput<typeof StoreCopySchema>;

export const StoreLoadSchema = v.strictObject({
  source: SideSchema,
  socket: text("the daemon it was loaded into"),
  subtree: text("only what is at or below it"),
  dry_run: flag("nothing was written"),
  created: count("nodes that were not there"),
  changed: count("nodes with another value"),
  permissions: count("nodes with other permissions alone"),
  removed: count("nodes that went, each with all below it"),
  transactions: count("above 1: it was not done all at once"),
  steps: v.pipe(
    v.array(
      v.strictObject({
        kind: v.picklist(["create", "change", "permissions", "remove"]),
        path: text("the node"),
      }),
    ),
    v.description("in the order they were made"),
  ),
});
export type StoreLoadReport = v.InferOutput<typeof StoreLoadSchema>;

export const StoreDiffSchema = v.strictObject({
  a: SideSchema,
  b: SideSchema,
  same: flag("nothing that was compared differs"),
  not_compared: v.pipe(v.array(v.string()), v.description("what one side does not tell")),
  differences: v.array(
    v.strictObject({
      group: v.picklist(["node", "permissions", "connection", "watch", "transaction", "quota"]),
      name: text("a path, a connection, a watch"),
      a: v.nullable(text("what A has; null: nothing")),
      b: v.nullable(text("what B has; null: nothing")),
    }),
  ),
});
export type StoreDiffReport = v.InferOutput<typeof StoreDiffSchema>;

/** A side as commands read it. */
export interface SideFacts {
  readonly name: string;
  readonly kind: SideReport["kind"];
  readonly format: StateFormat | undefined;
  readonly state: StoreState;
  readonly hasConnections: boolean;
  readonly isConsistent: boolean;
  readonly notes: readonly string[];
}

export function sideReport(side: SideFacts): SideReport {
  const { name, kind, format, state, hasConnections, isConsistent, notes } = side;
  const { connections } = state;
  const total = (countOf: (one: (typeof connections)[number]) => number): number | null =>
    hasConnections ? connections.reduce((sum, one) => sum + countOf(one), 0) : null;
  return {
    name,
    kind,
    format: format ?? null,
    consistent: isConsistent,
    notes: [...notes],
    nodes: state.nodes.length,
    connections: total(() => 1),
    watches: total(({ watches }) => watches.length),
    transactions: total(({ transactions }) => transactions.length),
  };
}

export const lossReports = (losses: readonly Loss[]): StoreCopyReport["losses"] =>
  losses.map((loss) => ({ ...loss, examples: [...loss.examples] }));

const plural = (total: number, noun: string): string =>
  `${formatCount(total)} ${noun}${total === 1 ? "" : "s"}`;

function contentText(side: SideReport): string {
  const { nodes, connections, watches, transactions } = side;
  const parts = [plural(nodes, "node")];
  if (connections !== null) parts.push(plural(connections, "connection"));
  if (watches !== null) parts.push(plural(watches, "watch").replace(/watchs$/, "watches"));
  if (transactions !== null && transactions > 0) parts.push(plural(transactions, "transaction"));
  return parts.join(", ");
}

export function renderCopy(report: StoreCopyReport): string {
  const { source, to, format, bytes } = report;
  const target = to === "-" ? "" : ` to ${harmless(to)}`;
  return `${contentText(source)}${target}: ${format}, ${formatBytes(bytes)}\n`;
}

const STEP_MARKS: Readonly<Record<LoadStep["kind"], string>> = {
  create: "+",
  change: "=",
  permissions: "p",
  remove: "-",
};

export function renderLoad(report: StoreLoadReport): string {
  const { created, changed, permissions, removed, steps, dry_run: isDry } = report;
  const counts = [
    [created, "created"],
    [changed, "changed"],
    [permissions, "with other permissions"],
    [removed, "removed"],
  ] as const;
  const told = counts.filter(([total]) => total > 0).map(([total, what]) => `${total} ${what}`);
  const lines = isDry ? steps.map(({ kind, path }) => `${STEP_MARKS[kind]} ${path}`) : [];
  const parts = report.transactions > 1 ? ` (in ${report.transactions} transactions)` : "";
  const summary = told.length === 0 ? "nothing to do" : `${told.join(", ")}${parts}`;
  return `${[...lines, isDry ? `would be: ${summary}` : summary].join("\n")}\n`;
}

const DIFFERENCE_COLUMNS: readonly Column[] = [
  { title: "" },
  { title: "" },
  { title: "in A", wrap: true },
  { title: "in B", wrap: true },
];

export function renderStoreDiff(
  report: StoreDiffReport,
  { limit, style }: { readonly limit: number; readonly style: TextStyle },
): string {
  const { a, b, same, differences, not_compared: left } = report;
  const lines = [
    same ? "same" : `differ: ${plural(differences.length, "difference")}`,
    harmless(`  A  ${a.name}: ${contentText(a)}`),
    harmless(`  B  ${b.name}: ${contentText(b)}`),
    ...left.map((what) => harmless(`  not compared: ${what}`)),
  ];
  const shown = differences.slice(0, limit);
  if (shown.length > 0) lines.push("", ...table(DIFFERENCE_COLUMNS, shown.map(rowOf), style));
  const more = differences.length - shown.length;
  if (more > 0) lines.push("", `... and ${formatCount(more)} more: see --limit and --json`);
  return `${lines.join("\n")}\n`;
}

const rowOf = ({ group, name, a, b }: StateDifference): string[] => [
  group,
  name,
  a ?? "none",
  b ?? "none",
];
