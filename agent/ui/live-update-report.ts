// agent live-update: what is said about an update, as JSON and as lines.

import * as v from "valibot";
import { describeUnfinished, UnfinishedSchema } from "../../lib/store-daemon/index.ts";

const milliseconds = v.nullable(v.number());

const Report = v.object({
  way: v.picklist(["promote", "in_place"]),
  /** How often this program's state has changed hands. */
  generation: v.number(),
  binary: v.string(),
  sha256: v.nullable(v.string()),
  version: v.nullable(v.string()),
  /** Connections, watches, transactions, nodes ... that go over. */
  counts: v.record(v.string(), v.number()),
  phases_ms: v.record(v.string(), v.number()),
  pause_ms: v.object({ predicted: milliseconds, measured: milliseconds }),
});

/** What a stock daemon's format cannot carry, in words; only where one is the new program. */
const losses = v.optional(v.array(v.string()));

const Outcome = v.variant("kind", [
  v.object({ kind: v.literal("updated"), report: Report, losses }),
  v.object({ kind: v.literal("left"), report: Report, losses }),
  /** A dry run: the new program could serve. */
  v.object({ kind: v.literal("rehearsed"), report: Report, losses }),
  /** The old program serves on; "kept": after it had stopped already. */
  v.object({ kind: v.literal("failed"), reason: v.string(), report: Report, losses }),
  v.object({ kind: v.literal("kept"), reason: v.string(), report: Report, losses }),
]);
export type UpdateOutcome = v.InferOutput<typeof Outcome>;

const Status = v.object({
  kind: v.literal("status"),
  generation: v.number(),
  is_active: v.boolean(),
  /** What --way auto means here. */
  way: v.picklist(["promote", "in_place"]),
  carried: v.record(v.string(), v.number()),
  blocked_by: v.array(v.string()),
  /** The oldest first, a few of them; a daemon of an earlier version does not say. */
  unfinished: v.optional(v.array(UnfinishedSchema), []),
  unfinished_count: v.optional(v.number(), 0),
  last: v.nullable(Outcome),
});
export type UpdateStatus = v.InferOutput<typeof Status>;

export const LiveUpdateDocument = v.union([Outcome, Status]);

const WAY = { promote: "promote", in_place: "in place" } as const;

const table = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`)
    .join(", ");

function reportLines({
  way,
  version,
  sha256,
  counts,
  phases_ms,
  pause_ms,
}: UpdateOutcome["report"]) {
  const pause = pause_ms.measured ?? pause_ms.predicted;
  const kind = pause_ms.measured === null ? "predicted" : "measured";
  return [
    `way        ${WAY[way]}`,
    ...(version === null ? [] : [`version    ${version}`]),
    ...(sha256 === null ? [] : [`SHA-256    ${sha256}`]),
    // One that was refused at once has come to neither.
    ...(Object.keys(counts).length === 0 ? [] : [`carried    ${table(counts)}`]),
    ...(Object.keys(phases_ms).length === 0 ? [] : [`phases ms  ${table(phases_ms)}`]),
    ...(pause === null ? [] : [`pause ms   ${pause} (${kind})`]),
  ];
}

const HEADLINE = {
  updated: (report: UpdateOutcome["report"]) => `${report.binary} serves now`,
  left: (report: UpdateOutcome["report"]) => `${report.binary} serves now`,
  rehearsed: (report: UpdateOutcome["report"]) => `${report.binary} could serve`,
} as const;

export function outcomeLines(outcome: UpdateOutcome): string[] {
  const first =
    outcome.kind === "failed" || outcome.kind === "kept"
      ? `The old program serves on: ${outcome.reason}`
      : HEADLINE[outcome.kind](outcome.report);
  const lost = (outcome.losses ?? []).map((loss) => `lost       ${loss}`);
  return [first, ...[...reportLines(outcome.report), ...lost].map((line) => `  ${line}`)];
}

export function statusLines({
  generation,
  is_active,
  way,
  carried,
  ...rest
}: UpdateStatus): string[] {
  return [
    `generation ${generation}`,
    `carried    ${table(carried)}`,
    `auto way   ${WAY[way]}`,
    `update     ${is_active ? "one goes on" : "none goes on"}`,
    `blocked by ${rest.blocked_by.length === 0 ? "nothing" : rest.blocked_by.join("; ")}`,
    ...unfinishedLines(rest),
    ...(rest.last === null ? [] : ["last", ...outcomeLines(rest.last).map((line) => `  ${line}`)]),
  ];
}

function unfinishedLines({ unfinished, unfinished_count }: Partial<UpdateStatus>): string[] {
  const rows = unfinished ?? [];
  const more = (unfinished_count ?? 0) - rows.length;
  return [
    ...rows.map((row) => {
      const blocked = row.blocks.map((kind) => `--to ${kind}`).join(", ");
      return `unfinished ${describeUnfinished(row)}; ${blocked} waits for it`;
    }),
    ...(more > 0 ? [`unfinished ${more} more`] : []),
  ];
}
