// Where the bytes of the stream are: by what they are, and from the first one to the last.

import type { InspectReport } from "../../../lib/stream/index.ts";
import { html, type Part } from "../html/escape.ts";
import { figure, type LegendEntry } from "../html/figure.ts";
import type { Section } from "../html/section.ts";
import { type SharePart, shareBar } from "../html/share-bar.ts";
import { type Span, streamStrip } from "../html/stream-strip.ts";
import { formatBytes, formatShare } from "../numbers.ts";
import { CONTENTS, groupNamed, groupOf, PAGE_BYTES, ROLES, sum } from "./words.ts";

const RECORD_HEADER_BYTES = 8;

export function bytesSection(report: InspectReport): Section | undefined {
  if (report.end_offset === 0) return undefined;
  const { spans, legend } = spansOf(report);
  const title = "From the first byte to the last";
  return {
    id: "bytes",
    title: "Where the bytes are",
    aside: formatBytes(report.end_offset),
    body: [
      figure({
        id: "shares-figure",
        title: "By what they are",
        text: savings(report),
        chart: shareBar({ id: "shares", title: "Bytes by what they are", parts: partsOf(report) }),
        legend: [],
        table: undefined,
      }),
      figure({
        id: "strip-figure",
        title,
        text: "In the order of the stream. What is too short to be seen is drawn a little wider.",
        chart: streamStrip({
          id: "strip",
          title,
          description: "The same as the records in order, in the section Records.",
          spans,
          endOffset: report.end_offset,
        }),
        legend,
        table: undefined,
      }),
    ],
  };
}

function savings({ contents }: InspectReport): Part {
  if (contents === null) {
    return html`The contents were not read: <code>--contents</code> finds zeros and duplicates.`;
  }
  const { pages, zero, duplicate, distinct } = contents;
  if (pages === 0) return "There are no page contents.";
  const spare = formatBytes((zero + duplicate) * PAGE_BYTES);
  const share = formatShare((zero + duplicate) / pages);
  const left = formatBytes(distinct * PAGE_BYTES);
  return (
    `${spare} of page contents (${share}) are zeros or stood in the stream before; ` +
    `what is left are ${left} of different pages.`
  );
}

export function partsOf(report: InspectReport): SharePart[] {
  const { record_types: types, end_offset: end, contents, memory } = report;
  const byGroup = new Map<string, SharePart>();
  for (const row of types) {
    const { label, fill } = groupOf(row);
    const before = byGroup.get(label)?.bytes ?? 0;
    byGroup.set(label, { label, fill, bytes: before + row.bytes });
  }
  leaveOutMissing(byGroup, report);
  const bodies = sum([...byGroup.values()].map(({ bytes }) => bytes));
  const inBatches = byGroup.get("pages")?.bytes ?? 0;
  byGroup.delete("pages");
  const pageBytes = Math.min(inBatches, (contents?.pages ?? memory.with_contents) * PAGE_BYTES);
  const spare = (pages: number): number => Math.min(pageBytes, pages * PAGE_BYTES);
  const zero = spare(contents?.zero ?? 0);
  const duplicate = Math.min(pageBytes - zero, spare(contents?.duplicate ?? 0));
  const other = contents === null ? "page contents" : "page contents, each for the first time";
  const parts: SharePart[] = [
    { label: other, fill: CONTENTS.other.fill, bytes: pageBytes - zero - duplicate },
    { label: "page contents: duplicates", fill: CONTENTS.duplicate.fill, bytes: duplicate },
    { label: "page contents: zeros", fill: CONTENTS.zero.fill, bytes: zero },
    { label: "lists of pfns", fill: "grey", bytes: inBatches - pageBytes },
    ...byGroup.values(),
    { label: "headers and padding", fill: "diag-faint", bytes: Math.max(0, end - bodies) },
  ];
  return parts.filter(({ bytes }) => bytes > 0);
}

/** Of a stream that was cut, its last record claims more bytes than there are. */
function leaveOutMissing(byGroup: Map<string, SharePart>, report: InspectReport): void {
  const { stopped, records, end_offset: end } = report;
  if (stopped === null) return;
  const { label, fill } = groupOf({ name: stopped.record });
  const bodies = sum([...byGroup.values()].map(({ bytes }) => bytes));
  const missing = bodies + records * RECORD_HEADER_BYTES - end;
  const bytes = byGroup.get(label)?.bytes ?? 0;
  if (missing > 0) byGroup.set(label, { label, fill, bytes: Math.max(0, bytes - missing) });
}

function spansOf(report: InspectReport): { spans: Span[]; legend: LegendEntry[] } {
  const { record_runs: runs, end_offset: end, iterations } = report;
  const legend = new Map<string, LegendEntry>();
  const note = ({ label, fill }: Pick<LegendEntry, "label" | "fill">): void => {
    if (!legend.has(label)) legend.set(label, { label, fill, detail: undefined });
  };
  const spans: Span[] = iterations.list.map(({ role, offset, end_offset: endOffset }) => {
    note(ROLES[role]);
    return { offset, endOffset, fill: ROLES[role].fill, rank: 1 };
  });
  const pages = groupNamed("pages");
  for (const [index, run] of runs.entries()) {
    const group = groupOf(run);
    if (group === pages || run.bytes === 0) continue;
    // Green and the hatches are those of no iteration.
    const state = { label: "state, config, device model", fill: "green" as const };
    note(state);
    const endOffset = runs[index + 1]?.offset ?? Math.min(end, run.offset + run.bytes);
    spans.push({ offset: run.offset, endOffset, fill: state.fill, rank: 2 });
  }
  return { spans, legend: [...legend.values()] };
}
