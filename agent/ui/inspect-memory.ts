// The part of `agent inspect` about memory: pages by type, the map, contents, and the iterations.

import { hex, plural } from "../../lib/base/index.ts";
import type { InspectIteration, InspectMemoryMap, InspectReport } from "../../lib/stream/index.ts";
import { bar, strip } from "./charts.ts";
import { formatBytes, formatCount, formatMilliseconds, formatShare } from "./numbers.ts";
import { type Cell, INDENT, pairs, paragraph, table, type TextStyle } from "./text-layout.ts";

const PAGE_BYTES = 4096;
const BAR_WIDTH = 24;
const NARROW_BAR_WIDTH = 10;
/** More iterations than twice this are shown only where they are asked for. */
const ITERATIONS_SHOWN = 10;
/** Bits a second of the networks that people migrate over. */
const NETWORKS = [
  ["1 Gbit/s", 1e9],
  ["10 Gbit/s", 1e10],
] as const;

export function memoryLines({ memory }: InspectReport, style: TextStyle): string[] {
  if (memory.sent === 0) return paragraph("no pages in this stream", style);
  const most = Math.max(...memory.types.map(({ sent }) => sent));
  const width = style.columns < 80 ? NARROW_BAR_WIDTH : BAR_WIDTH;
  const types = table(
    [
      { title: "type" },
      { title: "sent", align: "right" },
      { title: "pfns now", align: "right" },
      { title: "contents", drop: 1 },
      { title: "", drop: 2 },
    ],
    memory.types.map((row) => [
      row.name,
      formatCount(row.sent),
      row.pfns === null ? "?" : formatCount(row.pfns),
      row.has_contents ? "yes" : "no",
      bar(row.sent, { most, width, unicode: style.unicode }),
    ]),
    style,
  );
  return [
    ...pairs(memoryTotals(memory), style),
    "",
    ...types,
    ...timesLines(memory, style),
    ...mapLines(memory, style),
  ];
}

function memoryTotals(memory: InspectReport["memory"]): (readonly [string, Cell])[] {
  const contents = formatBytes(memory.with_contents * PAGE_BYTES);
  const distinct = memory.pfns === null ? "too scattered to count" : formatCount(memory.pfns);
  return [
    ["pages sent", formatCount(memory.sent)],
    ["with contents", `${formatCount(memory.with_contents)} (${contents})`],
    ["different pfns", distinct],
    ["sent again", againText(memory)],
  ];
}

function againText({ sent, sent_again: again }: InspectReport["memory"]): string {
  return again === 0 ? "none" : `${formatCount(again)} (${formatShare(again / sent)} of all)`;
}

function timesLines(memory: InspectReport["memory"], style: TextStyle): string[] {
  if (memory.sent_again === 0) return [];
  const most = Math.max(...memory.times_sent.map(({ pfns }) => pfns));
  const width = style.columns < 80 ? NARROW_BAR_WIDTH : BAR_WIDTH;
  const rows = memory.times_sent.map(({ least, most: last, pfns }) => [
    last === null ? `${least} or more` : least === last ? String(least) : `${least} to ${last}`,
    formatCount(pfns),
    bar(pfns, { most, width, unicode: style.unicode }),
  ]);
  const columns = [
    { title: "times sent" },
    { title: "pfns", align: "right" },
    { title: "" },
  ] as const;
  return ["", ...table(columns, rows, style)];
}

// ---- The map ----------------------------------------------------------------------------------

const MAP_ROWS: readonly (readonly [keyof InspectMemoryMap, string])[] = [
  ["normal", "ordinary"],
  ["page_table", "page tables"],
  ["allocated", "no contents"],
  ["hole", "holes"],
  ["broken", "broken"],
  ["unknown", "unknown"],
  ["sent_again", "sent again"],
  ["zero", "zero"],
  ["duplicate", "duplicate"],
];
const LABEL_WIDTH = 11;

function mapLines(
  { map, highest_pfn: highest }: InspectReport["memory"],
  style: TextStyle,
): string[] {
  if (map === null || highest === null) return [];
  const frame = style.unicode ? "│" : "|";
  const width = Math.min(map.bins, style.columns - INDENT.length - LABEL_WIDTH - 4);
  const rows = MAP_ROWS.flatMap(([name, label]) => {
    const list = map[name];
    if (!Array.isArray(list) || list.every((pfns) => pfns === 0)) return [];
    const shares = resample(list, { map, width, highest });
    return [`${INDENT}${label.padEnd(LABEL_WIDTH)} ${frame}${strip(shares, style)}${frame}`];
  });
  const perColumn = Math.ceil((highest + 1) / width);
  const first = "0x0";
  const last = hex(highest);
  const space = " ".repeat(Math.max(1, width - first.length - last.length));
  const scale = `${INDENT}${" ".repeat(LABEL_WIDTH + 2)}${first}${space}${last}`;
  const what = `Share of the pfns in each column, ${formatCount(perColumn)} a column:`;
  return ["", ...paragraph(what, style), ...rows, scale];
}

/** Shares of the pfns of each of `width` columns, out of the map's bins. */
function resample(
  list: readonly number[],
  { map, width, highest }: { readonly map: InspectMemoryMap; width: number; highest: number },
): number[] {
  return Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * map.bins) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * map.bins) / width));
    const pfns = Math.min(to * map.pfns_per_bin, highest + 1) - from * map.pfns_per_bin;
    const sum = list.slice(from, to).reduce((total, value) => total + value, 0);
    return pfns > 0 ? sum / pfns : 0;
  });
}

// ---- Contents ---------------------------------------------------------------------------------

export function contentsLines({ contents }: InspectReport, style: TextStyle): string[] {
  if (contents === null) {
    return paragraph("not looked at: --contents counts zero and duplicate pages", style);
  }
  const { pages, zero, duplicate, distinct } = contents;
  const row = (what: string, count: number): Cell[] => [
    what,
    formatCount(count),
    formatBytes(count * PAGE_BYTES),
    pages === 0 ? "" : formatShare(count / pages),
    bar(count, { most: pages, width: BAR_WIDTH, unicode: style.unicode }),
  ];
  return table(
    [
      { title: "contents" },
      { title: "pages", align: "right" },
      { title: "size", align: "right" },
      { title: "share", align: "right" },
      { title: "", drop: 1 },
    ],
    [
      row("all", pages),
      row("zero", zero),
      row("seen before", duplicate),
      row("different", distinct),
    ],
    style,
  );
}

// ---- Iterations -------------------------------------------------------------------------------

export function iterationLines(report: InspectReport, style: TextStyle, all: boolean): string[] {
  const { iterations } = report;
  if (iterations.total === 0) return paragraph("no pages in this stream", style);
  const { list } = iterations;
  const isLong = !all && list.length > ITERATIONS_SHOWN * 2;
  const first = isLong ? list.slice(0, ITERATIONS_SHOWN) : list;
  const last = isLong ? list.slice(-ITERATIONS_SHOWN) : [];
  const most = Math.max(1, ...list.slice(1).map((pass) => pass.with_contents));
  const rows = [...first, ...last].map((pass) => iterationRow(pass, most, style));
  if (isLong) rows.splice(ITERATIONS_SHOWN, 0, ["...", "", "", "", "", "", "", ""]);
  const lines = table(
    [
      { title: "#", align: "right" },
      { title: "pass" },
      { title: "at", align: "right", drop: 5 },
      { title: "pages", align: "right" },
      { title: "size", align: "right", drop: 1 },
      { title: "sent before", align: "right", drop: 3 },
      { title: "ratio", align: "right", drop: 2 },
      { title: "", drop: 4 },
    ],
    rows,
    style,
  );
  return [...lines, "", ...iterationSentences(report, style)];
}

function iterationRow(pass: InspectIteration, most: number, style: TextStyle): Cell[] {
  const width = style.columns < 100 ? NARROW_BAR_WIDTH : NARROW_BAR_WIDTH * 2;
  const role = pass.role === "checkpoint" ? `checkpoint ${pass.checkpoint + 1}` : pass.role;
  return [
    String(pass.number),
    role,
    hex(pass.offset),
    formatCount(pass.pages),
    formatBytes(pass.bytes),
    formatCount(pass.sent_before),
    pass.ratio === null ? "" : pass.ratio.toFixed(2),
    // The first pass is all of memory: beside it the others would not be seen.
    pass.role === "all" ? "" : bar(pass.with_contents, { most, width, unicode: style.unicode }),
  ];
}

const CONVERGENCE = {
  single: undefined,
  converging: "The live passes converged: fewer pages were left to send each time.",
  steady: "The live passes did not converge: the guest dirtied pages about as fast as they went.",
  growing: "The live passes grew: the guest dirtied pages faster than they were sent.",
} as const;

function iterationSentences(report: InspectReport, style: TextStyle): string[] {
  const { iterations, kind, complete } = report;
  const { downtime, checkpoints, convergence, left_off: leftOff } = iterations;
  const sentences: string[] = [];
  if (convergence === "single" && kind === "plain" && complete) {
    sentences.push("One pass: the guest was stopped throughout, or dirtied nothing meanwhile.");
  }
  const verdict = CONVERGENCE[convergence];
  if (verdict !== undefined) sentences.push(verdict);
  if (downtime !== null) {
    const bytes = downtime.bytes + downtime.state_bytes;
    const what = `${formatCount(downtime.pages)} pages, ${formatBytes(downtime.bytes)}`;
    const state = `${formatBytes(downtime.state_bytes)} of state`;
    sentences.push(`While the guest was stopped: ${what} and ${state}; ${wireTimes(bytes)}.`);
  }
  if (checkpoints !== null) {
    const { count, least_pages: least, mean_pages: mean, most_pages: most } = checkpoints;
    const range = `${formatCount(least)} to ${formatCount(most)} pages`;
    const size = formatBytes(mean * PAGE_BYTES);
    const average = `${formatCount(Math.round(mean))} on average (${size})`;
    sentences.push(`${plural(count, "further checkpoint")}: ${range}, ${average}.`);
  }
  if (leftOff > 0) sentences.push(`${formatCount(leftOff)} iterations in between are not kept.`);
  sentences.push(
    "A stream holds no times: the ratio is a pass's pages over those of the pass before, which " +
      "is how fast the guest dirtied pages against how fast they were sent.",
  );
  return sentences.flatMap((sentence) => paragraph(sentence, style));
}

/** "21 ms at 1 Gbit/s, 2.1 ms at 10 Gbit/s" */
const wireTimes = (bytes: number): string =>
  NETWORKS.map(([name, bits]) => `${formatMilliseconds((bytes * 8000) / bits)} at ${name}`).join(
    ", ",
  );
