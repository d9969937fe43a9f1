// The beginning of what `agent inspect` prints: what the stream is, how far it could be read, the
// guest, the headers and the records.

import { hex, plural } from "../../lib/base/index.ts";
import type { InspectReport } from "../../lib/stream/index.ts";
import { bar } from "./charts.ts";
import { paint } from "./colour.ts";
import { FORMAT_NAMES } from "./format-names.ts";
import { formatBytes, formatCount } from "./numbers.ts";
import {
  type Cell,
  harmless,
  pairs,
  paragraph,
  table,
  type TextStyle,
  wrapText,
} from "./text-layout.ts";

const BAR_WIDTH = 20;
const RUNS_SHOWN = 40;

/** The first lines: what it is, and what is wrong with it. */
export function summaryLines(report: InspectReport, style: TextStyle): string[] {
  const { input, complete, records, end_offset: end, trailing } = report;
  const what = harmless(`${input}: ${whatItIs(report)}`);
  const size = `${plural(records, "record")}, ${formatBytes(end)}, ends at ${hex(end)}`;
  return [
    ...wrapText(what, style.columns).map((line) => {
      return paint(line, complete ? "heading" : "bad", style.coloured);
    }),
    ...(report.format === null ? [] : paragraph(size, style)),
    ...checkpointLines(report, style),
    ...(trailing === null
      ? []
      : paragraph(`behind the end at ${hex(trailing.offset)}: ${trailing.what}`, style)),
    ...problemLines(report, style),
  ];
}

function whatItIs({ format, compression, kind, guest }: InspectReport): string {
  if (format === null) return "not a guest-state stream";
  const parts: string[] = [FORMAT_NAMES[format]];
  if (compression !== null) parts[0] = `${parts[0]} (${compression})`;
  if (kind !== "plain") parts.push(`checkpointed by ${kind === "colo" ? "COLO" : "Remus"}`);
  const type = guest.config_type ?? guest.type;
  const name = guest.name === null ? "" : ` "${guest.name}"`;
  if (type !== null) parts.push(`${type.toUpperCase()} guest${name}`);
  if (guest.xen !== null) parts.push(`from Xen ${guest.xen}`);
  return parts.join(", ");
}

function checkpointLines({ kind, checkpoints }: InspectReport, style: TextStyle): string[] {
  if (kind === "plain") return [];
  const { complete, last_end_offset: last, failover } = checkpoints;
  const where = last === null ? "" : `, the last one ends at ${hex(last)}`;
  const outcome = failover === null ? "" : failover ? "; failover is possible" : "; no failover";
  return paragraph(`${plural(complete, "complete checkpoint")}${where}${outcome}`, style);
}

function problemLines(report: InspectReport, style: TextStyle): string[] {
  const { stopped, problems, errors, warnings } = report;
  const lines: string[] = [];
  if (stopped !== null) {
    const { layer, record, record_number: number, field, offset, expected, found } = stopped;
    const why = stopped.truncated ? "cut short" : "damaged";
    const where = `${layer} ${record}.${field} (record ${number})`;
    const text = `${why} at ${hex(offset)}: ${where}: expected ${expected}, found ${found}`;
    lines.push(...painted(`read as far as it goes: ${text}`, "bad", style));
  }
  const rest = problems.filter(({ offset, found }) => {
    return stopped === null || offset !== stopped.offset || found !== stopped.found;
  });
  for (const { severity, layer, record, field, offset, expected, found } of rest) {
    const where = `${layer} ${record}.${field} at ${hex(offset)}`;
    const text = `${severity}: ${where}: expected ${expected}, found ${found}`;
    lines.push(...painted(text, severity === "error" ? "bad" : "warm", style));
  }
  if (errors + warnings > problems.length) {
    lines.push(...paragraph(`... and more problems: agent verify lists them all`, style));
  }
  return lines;
}

const painted = (text: string, look: "bad" | "warm", style: TextStyle): string[] =>
  paragraph(text, style).map((line) => paint(line, look, style.coloured));

export function guestLines({ guest, memory, tsc }: InspectReport, style: TextStyle): string[] {
  const rows: (readonly [string, Cell])[] = [];
  const add = (name: string, value: string | null): void => {
    if (value !== null) rows.push([name, value]);
  };
  add("name", guest.name);
  add("type", guestType(guest));
  add("written by", writtenBy(guest));
  const populated = memory.populated_pfns;
  const pageBytes = guest.page_bytes ?? 4096;
  if (populated !== null && memory.sent > 0) {
    const size = formatBytes(populated * pageBytes);
    add("memory", `${formatCount(populated)} pages of ${pageBytes} bytes, ${size}`);
  }
  const highest = guest.last_pfn ?? memory.highest_pfn;
  add("last pfn", highest === null ? null : hex(highest));
  add("vcpus", guest.vcpus === null ? null : String(guest.vcpus));
  if (tsc !== null) {
    const elapsed = `${(Number(tsc.nsec) / 1e9).toFixed(3)} s elapsed`;
    const mode = `${tsc.mode_name} (mode ${tsc.mode})`;
    const times = `incarnation ${tsc.incarnation}`;
    add("TSC", `${mode}, ${formatCount(tsc.khz)} kHz, ${elapsed}, ${times}`);
  }
  return pairs(rows, style);
}

function guestType({ type, config_type: config, bits, page_table_levels: levels }: Guest) {
  const name = (config ?? type)?.toUpperCase();
  if (name === undefined) return null;
  const width = bits === null ? "" : `, ${bits} bit`;
  return `${name}${width}${levels === null ? "" : `, ${levels} levels of page tables`}`;
}
type Guest = InspectReport["guest"];

function writtenBy({ xen, libxc_version: version, converted }: Guest): string | null {
  if (version === null) return null;
  const writer = converted ? "the converter of legacy streams" : `Xen ${xen ?? "(unknown)"}`;
  return `${writer}, libxc image version ${version}`;
}

export const headerLines = ({ headers }: InspectReport, style: TextStyle): string[] =>
  table(
    [{ title: "offset", align: "right" }, { title: "header" }, { title: "fields", wrap: true }],
    headers.map(({ offset, layer, name, fields }) => [
      hex(offset),
      `${layer} ${name}`,
      fields
        .map((field) => {
          const meaning = field.meaning === null ? "" : ` (${field.meaning})`;
          return `${field.name} ${field.value}${meaning}`;
        })
        .join(", "),
    ]),
    style,
  );

/** `all`: also the order they stand in. */
export function recordLines(report: InspectReport, style: TextStyle, all: boolean): string[] {
  const { record_types: types, record_types_left_off: leftOff } = report;
  const most = Math.max(1, ...types.map(({ bytes }) => bytes));
  const lines = table(
    [
      { title: "layer", drop: 3 },
      { title: "record" },
      { title: "count", align: "right" },
      { title: "bytes", align: "right" },
      { title: "smallest", align: "right", drop: 5 },
      { title: "largest", align: "right", drop: 4 },
      { title: "first at", align: "right", drop: 2 },
      { title: "number", align: "right", drop: 1 },
      { title: "", drop: 6 },
    ],
    types.map((row) => [
      row.layer,
      row.name,
      formatCount(row.count),
      formatCount(row.bytes),
      row.count > 1 ? formatCount(row.least_bytes) : "",
      row.count > 1 ? formatCount(row.most_bytes) : "",
      hex(row.first_offset),
      String(row.first_record_number),
      bar(row.bytes, { most, width: BAR_WIDTH, unicode: style.unicode }),
    ]),
    style,
  );
  if (leftOff > 0) lines.push(...paragraph(`... and ${leftOff} of further unknown types`, style));
  return all ? [...lines, "", ...runLines(report, style)] : lines;
}

function runLines(
  { record_runs: runs, record_runs_left_off: left }: InspectReport,
  style: TextStyle,
) {
  const shown = runs.slice(0, RUNS_SHOWN * 8);
  const lines = table(
    [
      { title: "number", align: "right" },
      { title: "offset", align: "right" },
      { title: "layer", drop: 1 },
      { title: "record" },
      { title: "in a row", align: "right" },
      { title: "bytes", align: "right", drop: 2 },
    ],
    shown.map((run) => [
      String(run.first_record_number),
      hex(run.offset),
      run.layer,
      run.name,
      formatCount(run.count),
      formatCount(run.bytes),
    ]),
    style,
  );
  const more = runs.length - shown.length + left;
  return more > 0 ? [...lines, ...paragraph(`... and ${plural(more, "run")} more`, style)] : lines;
}
