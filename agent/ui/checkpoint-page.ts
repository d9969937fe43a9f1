// The page of `agent checkpoint list --html`: restore points, and what the commits were like over
// time: interval, changed pages, lag.

import type { CheckpointList, RestorePointReport } from "../../lib/checkpoint/index.ts";
import { timeText } from "./checkpoint-report.ts";
import { bins, type ChartColumn, columnChart } from "./html/column-chart.ts";
import { cut, type Html, html } from "./html/escape.ts";
import { figure } from "./html/figure.ts";
import type { Fill } from "./html/fills.ts";
import { renderPage } from "./html/page.ts";
import { absent, code, notice, paragraph, type Section, tiles } from "./html/section.ts";
import { bytesCell, type Cell, type Column, countCell, table, textCell } from "./html/table.ts";
import { formatBytes, formatCount, formatMilliseconds } from "./numbers.ts";

/** More columns than this cannot be told apart on a laptop; then each stands for several. */
const COLUMNS_DRAWN = 96;

/** A whole HTML document. */
export function checkpointPage(report: CheckpointList): string {
  const name = cut(report.folder.split("/").filter(Boolean).at(-1) ?? report.folder, 80);
  return renderPage({
    title: `${name} · agent checkpoint list`,
    maker: "agent checkpoint list",
    hero: hero(report, name),
    sections: [timelineSection(report), pointSection(report), streamSection(report)],
  });
}

function hero(report: CheckpointList, name: string): Html {
  const { points, commits, folder, streams } = report;
  const last = points.at(-1);
  const bytes = streams.reduce((sum, each) => sum + each.journal_bytes + each.page_file_bytes, 0);
  const intervals = commits.filter(({ checkpoint }) => checkpoint > 1);
  const meanMs = mean(intervals.map((commit) => commit.interval_ms));
  return html`<p class="kicker">Checkpoints of a guest</p>
    <h1>${name}</h1>
    <p class="path">${code(cut(folder, 1000))}</p>
    ${state(report)}
    ${tiles([
      {
        name: "Restore points",
        value: formatCount(points.length),
        note: last === undefined ? undefined : `the last is number ${last.number}`,
      },
      {
        name: "Last commit",
        value: last === undefined ? "none" : last.committed_at.slice(11, 19),
        note: last === undefined ? undefined : `${last.committed_at.slice(0, 10)}, UTC`,
      },
      {
        name: "Guest",
        value: formatCount(last?.pfns ?? 0),
        note: "pages",
      },
      {
        name: "Interval",
        value: meanMs === undefined ? "none" : formatMilliseconds(meanMs),
        note: `mean of ${formatCount(intervals.length)}`,
      },
      { name: "On disk", value: formatBytes(bytes), note: "journals and pages" },
    ])}`;
}

function state({ streams, receiving, points }: CheckpointList): Html {
  const damaged = streams.find((each) => each.damaged);
  if (damaged !== undefined) {
    const what = `The journal of stream ${damaged.stream} is damaged: ${damaged.tail}`;
    return notice("bad", html`<p><b>Damaged.</b> ${what}.</p>`);
  }
  const over = streams.findLast((each) => each.failover !== null)?.failover;
  if (over !== null && over !== undefined) {
    const what = `A failover to restore point ${over.number}`;
    const how = { begun: "was begun", done: "was done", failed: "failed" }[over.state];
    return notice("warn", html`<p><b>Failed over.</b> ${what} ${how}.</p>`);
  }
  if (receiving) return notice("good", html`<p><b>Receiving.</b> A stream is coming in.</p>`);
  if (points.length === 0) return notice("warn", html`<p>There is nothing to restore here.</p>`);
  return notice("plain", html`<p><b>At rest.</b> Nobody receives into this folder now.</p>`);
}

// ---- Timeline ---------------------------------------------------------------------------------

interface Measure {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly unit: string;
  readonly fill: Fill;
  /** The first checkpoint of a stream is all of memory, and nothing came before it. */
  readonly hasFirst: boolean;
  valueOf(commit: RestorePointReport): number;
  wordsOf(value: number): string;
}

const pagesText = (value: number): string => `${formatCount(Math.round(value))} pages`;

const MEASURES: readonly Measure[] = [
  {
    id: "interval",
    title: "Interval",
    text: "From the start of the checkpoint before to the start of this one.",
    unit: "ms",
    fill: "blue",
    hasFirst: false,
    valueOf: (commit) => commit.interval_ms,
    wordsOf: formatMilliseconds,
  },
  {
    id: "pages",
    title: "Changed pages",
    text: "Pages that each checkpoint brought; the first of a stream, which brings all, left out.",
    unit: "pages",
    fill: "purple",
    hasFirst: false,
    valueOf: (commit) => commit.changed_pages,
    wordsOf: pagesText,
  },
  {
    id: "lag",
    title: "Lag",
    text: "From the last byte of a checkpoint until its pages were safe.",
    unit: "ms",
    fill: "amber",
    hasFirst: true,
    valueOf: (commit) => commit.lag_ms,
    wordsOf: formatMilliseconds,
  },
];

function timelineSection({ commits }: CheckpointList): Section {
  const charts = MEASURES.map((measure) => chart(measure, commits)).filter(
    (each) => each !== undefined,
  );
  const span = commits.length > 1 ? `${timeText(commits[0]!.committed_at)} and on` : undefined;
  return {
    id: "timeline",
    title: "Timeline",
    aside: span,
    body:
      charts.length === 0
        ? absent("Fewer than two commits are known: there is no course of time to show.")
        : [
            paragraph(
              `${formatCount(commits.length)} commits, oldest left. Remus waits for no ` +
                "acknowledgement: the lag is what would be lost besides the checkpoint on its way.",
            ),
            charts,
          ],
  };
}

function chart(measure: Measure, commits: readonly RestorePointReport[]): Html | undefined {
  const { id, title, text, unit, valueOf, wordsOf, hasFirst } = measure;
  const list = hasFirst ? commits : commits.filter(({ checkpoint }) => checkpoint > 1);
  if (list.length < 2) return undefined;
  const groups = bins(list, COLUMNS_DRAWN);
  const each = groups[0]!.length;
  const values = list.map(valueOf);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const drawn =
    each === 1 ? "" : ` Each column is the mean of ${each} commits, the line the largest of them.`;
  return figure({
    id: `${id}-figure`,
    title,
    text: text + drawn,
    chart: columnChart({
      id,
      title,
      description:
        `${formatCount(list.length)} commits, from ${wordsOf(least)} to ${wordsOf(most)}; ` +
        "the numbers are in the table of the restore points, and in --json.",
      unit,
      columns: groups.map((group) => columnOf(group, measure)),
    }),
    legend: [],
    table: undefined,
  });
}

function columnOf(group: readonly RestorePointReport[], measure: Measure): ChartColumn {
  const { valueOf, wordsOf, fill } = measure;
  const [first, last] = [group[0]!, group.at(-1)!];
  const values = group.map(valueOf);
  const value = Math.round(mean(values) ?? 0);
  const label = String(first.number);
  if (group.length === 1) {
    const text = `Commit ${first.number}, ${timeText(first.committed_at)}: ${wordsOf(value)}`;
    return { label, value, most: undefined, fill, text };
  }
  const most = Math.max(...values);
  const text =
    `Commits ${first.number} to ${last.number}, from ${timeText(first.committed_at)}: ` +
    `${wordsOf(value)} on average, ${wordsOf(most)} at most`;
  return { label, value, most, fill, text };
}

const mean = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;

// ---- Tables -----------------------------------------------------------------------------------

const number = (title: string): Column => ({ title, kind: "number" });

function pointSection({ points }: CheckpointList): Section {
  return {
    id: "points",
    title: "Restore points",
    aside: `${formatCount(points.length)} can be restored`,
    body:
      points.length === 0
        ? absent("None.")
        : table({
            id: "points-table",
            caption: "Restore points, as agent checkpoint restore --at takes them",
            isCaptionHidden: true,
            columns: [
              number("Number"),
              number("Stream"),
              number("Checkpoint"),
              { title: "Committed", kind: "text" },
              number("Changed pages"),
              number("Size"),
              number("Interval"),
              number("Arrival"),
              number("Lag"),
              number("Waiting"),
            ],
            rows: points.map(pointRow),
            leftOff: 0,
          }),
  };
}

const timeCell = (milliseconds: number): Cell => ({
  content: formatMilliseconds(milliseconds),
  sort: milliseconds,
});

const pointRow = (point: RestorePointReport): Cell[] => [
  countCell(point.number),
  countCell(point.stream),
  countCell(point.checkpoint),
  textCell(timeText(point.committed_at)),
  countCell(point.changed_pages),
  bytesCell(point.bytes),
  timeCell(point.interval_ms),
  timeCell(point.arrival_ms),
  timeCell(point.lag_ms),
  bytesCell(point.lag_bytes),
];

function streamSection({ streams }: CheckpointList): Section {
  return {
    id: "streams",
    title: "Streams",
    aside: undefined,
    body: table({
      id: "streams-table",
      caption: "Streams that were received",
      isCaptionHidden: true,
      columns: [
        number("Stream"),
        { title: "Began", kind: "text" },
        number("Journal"),
        number("Page file"),
        { title: "Behind the last commit", kind: "text" },
        { title: "Failover", kind: "text" },
      ],
      rows: streams.map((stream) => [
        countCell(stream.stream),
        textCell(timeText(stream.started_at)),
        bytesCell(stream.journal_bytes),
        bytesCell(stream.page_file_bytes),
        textCell(stream.tail ?? "nothing"),
        textCell(
          stream.failover === null ? "none" : `${stream.failover.number}: ${stream.failover.state}`,
        ),
      ]),
      leftOff: 0,
    }),
  };
}
