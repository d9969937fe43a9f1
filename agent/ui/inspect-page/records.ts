// The records of the stream by type and in order, and its headers.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { type Html, html } from "../html/escape.ts";
import { collapsible, pairs, type Section } from "../html/section.ts";
import { barCell, bytesCell, countCell, hexCell, table, textCell } from "../html/table.ts";
import { many } from "./words.ts";

export function recordsSection(report: InspectReport): Section | undefined {
  if (report.records === 0 && report.headers.length === 0) return undefined;
  return {
    id: "records",
    title: "Records",
    aside: many(report.records, "record"),
    body: [typesTable(report), runsTable(report), headers(report)],
  };
}

function typesTable({ record_types: types, record_types_left_off: leftOff }: InspectReport): Html {
  const most = Math.max(0, ...types.map(({ bytes }) => bytes));
  return table({
    id: "records-table",
    caption: "Record types, in the order they first stand",
    isCaptionHidden: true,
    columns: [
      { title: "Record", kind: "text" },
      { title: "Layer", kind: "text" },
      { title: "Count", kind: "number" },
      { title: "Size", kind: "number" },
      { title: "Smallest", kind: "number" },
      { title: "Largest", kind: "number" },
      { title: "First at", kind: "number" },
      { title: "Number", kind: "number" },
      { title: "Share", kind: "bar" },
    ],
    rows: types.map((row) => [
      textCell(row.name),
      textCell(row.layer),
      countCell(row.count),
      bytesCell(row.bytes),
      countCell(row.least_bytes),
      countCell(row.most_bytes),
      hexCell(row.first_offset),
      countCell(row.first_record_number),
      barCell(row.bytes, most),
    ]),
    leftOff,
  });
}

const runsTable = ({ record_runs: runs, record_runs_left_off: leftOff }: InspectReport): Html =>
  collapsible({
    title: "In their order",
    aside: many(runs.length + leftOff, "run"),
    isOpen: false,
    body: table({
      id: "runs-table",
      caption: "Records of the same name in a row are one run",
      isCaptionHidden: false,
      columns: [
        { title: "Number", kind: "number" },
        { title: "Record", kind: "text" },
        { title: "Layer", kind: "text" },
        { title: "In a row", kind: "number" },
        { title: "Size", kind: "number" },
        { title: "Offset", kind: "number" },
      ],
      rows: runs.map((run) => [
        countCell(run.first_record_number),
        textCell(run.name),
        textCell(run.layer),
        countCell(run.count),
        bytesCell(run.bytes),
        hexCell(run.offset),
      ]),
      leftOff,
    }),
  });

const headers = ({ headers: list }: InspectReport): Html =>
  collapsible({
    title: "Headers",
    aside: many(list.length, "header"),
    isOpen: false,
    body: list.map(({ layer, name, offset, fields }) => [
      html`<p class="aside">${layer} ${name} at ${hex(offset)}</p>`,
      pairs(
        fields.map(
          ({ name: field, value, meaning }) =>
            [field, meaning === null ? value : `${value} (${meaning})`] as const,
        ),
        { isCode: true },
      ),
    ]),
  });
