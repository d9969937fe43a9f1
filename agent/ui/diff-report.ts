// What `agent diff` prints for people: whether they differ, what that means for restoring, then
// pages by type and the rest of the state by name.

import type { DiffReport, StateDifference } from "../../lib/stream/index.ts";
import { FORMAT_NAMES } from "./format-names.ts";
import { formatCount } from "./numbers.ts";
import { type Column, harmless, INDENT, paragraph, table, type TextStyle } from "./text-layout.ts";

const NAMES_TOLD = 12;
const VALUE_LENGTH_MAX = 44;

export interface DiffReportOptions {
  /** So many differences of the state are told. */
  readonly limit: number;
  readonly style: TextStyle;
}

export function renderDiffReport(report: DiffReport, { limit, style }: DiffReportOptions): string {
  const { hints, not_compared: notCompared } = report;
  const lines = [
    report.same ? "same: both end in the same state" : `differ: ${countsText(report)}`,
    harmless(`${INDENT}A  ${sideText(report.a)}`),
    harmless(`${INDENT}B  ${sideText(report.b)}`),
    ...notCompared.map(({ what, why }) => `${INDENT}not compared: ${what} (${why})`),
    ...titled(
      "what a restore may stumble over",
      hints.flatMap((hint) => paragraph(hint, style)),
    ),
    ...titled("pages", pageLines(report, style)),
    ...stateLines(report, { limit, style }),
  ];
  return `${lines.join("\n")}\n`;
}

const titled = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ["", `${title}:`, ...lines];

function countsText({ pages, state, state_left_off: leftOff }: DiffReport): string {
  const parts = (["changed", "retyped", "added", "gone"] as const)
    .filter((name) => pages[name] > 0)
    .map((name) => `${formatCount(pages[name])} ${name}`);
  const ofPages = parts.length === 0 ? "no pages" : `pages ${parts.join(", ")}`;
  return `${ofPages}; ${formatCount(state.length + leftOff)} values of the rest of the state`;
}

export function sideText(side: DiffReport["a"]): string {
  const { input, format, compression, kind, checkpoint, checkpoints } = side;
  const packed = compression === null ? "" : ` (${compression})`;
  const parts = [`${FORMAT_NAMES[format]}${packed}`, `${side.guest_type.toUpperCase()} guest`];
  if (checkpoint !== null) {
    const name = kind === "colo" ? "COLO" : "Remus";
    parts.push(`checkpoint ${checkpoint} of ${checkpoints} (${name})`);
  }
  if (side.xen !== null) parts.push(`from Xen ${side.xen}`);
  return `${input}: ${parts.join(", ")}, libxc v${side.libxc_version}`;
}

const COUNT_COLUMNS = ["a", "b", "same", "changed", "retyped", "added", "gone"] as const;

function pageLines({ pages }: DiffReport, style: TextStyle): string[] {
  const rows = [...pages.by_type, { type: "all", ...pages }].map((row) => [
    row.type,
    ...COUNT_COLUMNS.map((name) => formatCount(row[name])),
  ]);
  const titles = ["in A", "in B", ...COUNT_COLUMNS.slice(2)];
  const columns = titles.map((title) => ({ title, align: "right" }) as const);
  const retypes = pages.retypes.map(
    ({ from, to, count }) => `${formatCount(count)} from ${from} to ${to}`,
  );
  const more = retypes.length === 0 ? [] : paragraph(`another type: ${retypes.join(", ")}`, style);
  return [...table([{ title: "type" }, ...columns], rows, style), ...more];
}

const VALUE_COLUMNS: readonly Column[] = [
  { title: "" },
  { title: "in A" },
  { title: "in B" },
  { title: "", wrap: true },
];

function stateLines(
  { state, state_left_off: leftOff }: DiffReport,
  { limit, style }: DiffReportOptions,
): string[] {
  const shown = state.slice(0, limit);
  const lines = [...new Set(shown.map(({ group }) => group))].flatMap((group) => {
    const rows = shown
      .filter((difference) => difference.group === group)
      .map((difference) => [difference.name, ...valuesOf(difference)]);
    return titled(harmless(group), table(VALUE_COLUMNS, rows, style));
  });
  const more = state.length - shown.length + leftOff;
  if (more > 0) lines.push("", `... and ${formatCount(more)} more values: see --limit and --json`);
  return lines;
}

/** A's value, B's value, and what they mean. */
function valuesOf(difference: StateDifference): string[] {
  const { a, b } = difference;
  return [valueText(a), valueText(b), featuresText(difference)];
}

export function featuresText({ only_a, only_b }: StateDifference): string {
  const sides = [
    ["A", only_a],
    ["B", only_b],
  ] as const;
  return sides
    .filter(([, names]) => names.length > 0)
    .map(([side, names]) => `only ${side}: ${listOf(names)}`)
    .join("; ");
}

const listOf = (names: readonly string[]): string => {
  const more = names.length - NAMES_TOLD;
  return `${names.slice(0, NAMES_TOLD).join(" ")}${more > 0 ? ` and ${more} more` : ""}`;
};

function valueText(value: string | null): string {
  if (value === null) return "none";
  const isLong = value.length > VALUE_LENGTH_MAX;
  return isLong ? `${value.slice(0, VALUE_LENGTH_MAX)}...` : value;
}
