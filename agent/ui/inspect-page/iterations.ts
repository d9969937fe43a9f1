// Pages per live iteration and per checkpoint, and what they say about convergence.

import { hex } from "../../../lib/base/index.ts";
import type { InspectIteration, InspectReport } from "../../../lib/stream/index.ts";
import { bins, type ChartColumn, columnChart } from "../html/column-chart.ts";
import { type Html, html, type Part } from "../html/escape.ts";
import { figure, type LegendEntry } from "../html/figure.ts";
import { collapsible, paragraph, type Section } from "../html/section.ts";
import {
  bytesCell,
  type Cell,
  countCell,
  EMPTY_CELL,
  hexCell,
  table,
  textCell,
} from "../html/table.ts";
import { formatBytes, formatCount } from "../numbers.ts";
import { many, ROLES, sum } from "./words.ts";

type Iterations = InspectReport["iterations"];

/** More columns than this cannot be told apart on a laptop; then each stands for several. */
const COLUMNS_DRAWN = 96;

export function iterationsSection({ iterations, kind }: InspectReport): Section | undefined {
  if (iterations.total === 0) return undefined;
  const { list, total, resent_pages: resent } = iterations;
  return {
    id: "iterations",
    title: kind === "plain" ? "Iterations" : "Iterations and checkpoints",
    aside: `${many(total, "pass", "passes")}, ${formatCount(resent)} pages sent again`,
    body: [
      sentences(iterations, kind).map(paragraph),
      list.length > 1 ? charts(iterations) : undefined,
      collapsible({
        title: "The passes as a table",
        aside: undefined,
        isOpen: list.length <= 24,
        body: iterationsTable(iterations),
      }),
    ],
  };
}

const CONVERGENCE = {
  single: undefined,
  converging: "The live passes converged: fewer pages were left to send each time.",
  steady: "The live passes did not converge: pages were written about as fast as they were sent.",
  growing: "The live passes grew: the guest wrote pages faster than they were sent.",
} as const;

function sentences(iterations: Iterations, kind: InspectReport["kind"]): string[] {
  const { convergence, downtime, checkpoints, left_off: leftOff } = iterations;
  const list: string[] = [];
  if (convergence === "single" && kind === "plain") {
    list.push("One pass: the guest was stopped throughout, or wrote nothing meanwhile.");
  }
  const verdict = CONVERGENCE[convergence];
  if (verdict !== undefined) list.push(verdict);
  if (downtime !== null) {
    const pages = `${formatCount(downtime.pages)} pages (${formatBytes(downtime.bytes)})`;
    const state = formatBytes(downtime.state_bytes);
    list.push(`While the guest was stopped: ${pages} and ${state} of vCPU and device state.`);
  }
  if (checkpoints !== null) {
    const { count, least_pages: least, mean_pages: mean, most_pages: most } = checkpoints;
    const range = `${formatCount(least)} to ${formatCount(most)} pages each`;
    const checks = many(count, "further checkpoint");
    list.push(`${checks}: ${range}, ${formatCount(Math.round(mean))} on average.`);
  }
  if (leftOff > 0) list.push(`${formatCount(leftOff)} passes in the middle are not kept.`);
  return list.length === 0 ? [] : [list.join(" ")];
}

function charts({ list }: Iterations): Part {
  const [first, ...rest] = list;
  const most = Math.max(...rest.map(({ pages }) => pages));
  const others = "The passes after the first";
  if (first === undefined || most * 3 >= first.pages)
    return passChart("passes", "Pages per pass", list);
  return html`<div class="side uneven">
    ${passChart("passes-all", "Every pass", list)}${passChart("passes-later", others, rest)}
  </div>`;
}

function passChart(id: string, title: string, list: readonly InspectIteration[]): Html {
  const [first, ...rest] = list;
  // The first pass is all of memory: in a mean with others it would not be seen.
  const isAlone = first?.role === "all";
  const groups = isAlone ? [[first], ...bins(rest, COLUMNS_DRAWN)] : bins(list, COLUMNS_DRAWN);
  const columns = groups.map(columnOf);
  const each = groups.at(isAlone ? 1 : 0)?.length ?? 1;
  const text =
    each === 1
      ? "Entries of each pass."
      : `Each column is the mean of ${each} passes, the line its largest.`;
  const pages = list.map((pass) => pass.pages);
  const least = formatCount(Math.min(...pages));
  const description = `${many(list.length, "pass", "passes")}, from ${least} to ${formatCount(
    Math.max(...pages),
  )} pages; the numbers are in the table of the passes.`;
  return figure({
    id: `${id}-figure`,
    title,
    text,
    chart: columnChart({ id, title, description, unit: "pages", columns }),
    legend: legendOf(list),
    table: undefined,
  });
}

function columnOf(group: readonly InspectIteration[]): ChartColumn {
  const first = group[0]!;
  const last = group.at(-1)!;
  const pages = group.map((pass) => pass.pages);
  const mean = Math.round(sum(pages) / group.length);
  const { fill, label } = ROLES[first.role];
  if (group.length === 1) {
    const { number, bytes } = first;
    const text = `Pass ${number}, ${label}: ${formatCount(mean)} pages, ${formatBytes(bytes)}`;
    return { label: String(number), value: mean, most: undefined, fill, text };
  }
  const most = Math.max(...pages);
  const range = `passes ${first.number} to ${last.number}`;
  const text = `${range}: ${formatCount(mean)} pages on average, ${formatCount(most)} at most`;
  return { label: formatCount(first.number), value: mean, most, fill, text };
}

function legendOf(list: readonly InspectIteration[]): LegendEntry[] {
  const roles = new Set(list.map(({ role }) => role));
  return [...roles].map((role) => ({
    ...ROLES[role],
    detail:
      list.length > 8 ? formatCount(list.filter((pass) => pass.role === role).length) : undefined,
  }));
}

/** All first ones that are kept, and the last of the others. */
const FIRST_SHOWN = 16;
const LAST_SHOWN = 240;

function iterationsTable({ list: kept, left_off: notKept }: Iterations): Html {
  const isLong = kept.length > FIRST_SHOWN + LAST_SHOWN;
  const list = isLong ? [...kept.slice(0, FIRST_SHOWN), ...kept.slice(-LAST_SHOWN)] : kept;
  const leftOff = notKept + kept.length - list.length;
  const hasContents = list.some(({ zero }) => zero !== null);
  const rows = list.map((pass): Cell[] => [
    { content: pass.number, sort: pass.number },
    textCell(
      pass.role === "checkpoint" ? `checkpoint ${pass.checkpoint + 1}` : ROLES[pass.role].label,
    ),
    countCell(pass.pages),
    countCell(pass.with_contents),
    countCell(pass.sent_before),
    bytesCell(pass.bytes),
    pass.ratio === null ? EMPTY_CELL : { content: `${pass.ratio.toFixed(2)}×`, sort: pass.ratio },
    ...(hasContents ? [countCell(pass.zero), countCell(pass.duplicate)] : []),
    { content: `${hex(pass.first_pfn)}–${hex(pass.last_pfn)}`, sort: pass.first_pfn },
    hexCell(pass.offset),
  ]);
  const numbers = ["Pages", "With contents", "Sent before", "Size", "Ratio"];
  const contents = hasContents ? ["Zeros", "Duplicates"] : [];
  return table({
    id: "passes-table",
    caption: "Ratio: pages with contents over those of the pass before.",
    isCaptionHidden: false,
    columns: [
      { title: "#", kind: "number" },
      { title: "Pass", kind: "text" },
      ...[...numbers, ...contents, "Pfns", "Offset"].map(
        (title) => ({ title, kind: "number" }) as const,
      ),
    ],
    rows,
    leftOff,
  });
}
