// What was asked for by number: one record in full, and all versions of some pages.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { cut, type Html, html } from "../html/escape.ts";
import { collapsible, pairs, type Section } from "../html/section.ts";
import { countCell, EMPTY_CELL, hexCell, table, textCell } from "../html/table.ts";
import { formatBytes } from "../numbers.ts";
import { many } from "./words.ts";

const HEX_CHARACTERS_MAX = 32_768;
/** Pairs of digits in a line, in groups: 32 bytes fit a laptop, and a phone scrolls. */
const LINE_DIGITS = 64;

export function recordSection({ record }: InspectReport): Section | undefined {
  if (record === null) return undefined;
  const { number, layer, name, type, offset, body_offset: bodyOffset, body_bytes: bytes } = record;
  const facts: [string, string][] = [
    ["Layer", layer],
    ["Type", hex(type)],
    ["Offset", hex(offset)],
    ["Body", `${hex(bodyOffset)}, ${formatBytes(bytes)}`],
    ...record.fields.map((field): [string, string] => [field.name, field.value]),
  ];
  const { body_hex: digits } = record;
  return {
    id: "record",
    title: `Record ${number}: ${cut(name, 60)}`,
    aside: undefined,
    body: [
      pairs(facts, { isCode: true }),
      record.rows.length > 0 && rowsTable(record),
      digits !== "" &&
        collapsible({
          title: "Body",
          aside: digits.length > HEX_CHARACTERS_MAX ? "its beginning" : undefined,
          isOpen: false,
          body: html`<pre>${hexLines(digits.slice(0, HEX_CHARACTERS_MAX))}</pre>`,
        }),
    ],
  };
}

function rowsTable({ rows, rows_left_off: leftOff }: NonNullable<InspectReport["record"]>): Html {
  const titles = [...new Set(rows.slice(0, 64).flatMap((row) => Object.keys(row)))].slice(0, 16);
  return table({
    id: "record-table",
    caption: "Rows of the record",
    isCaptionHidden: true,
    columns: titles.map((title) => ({ title, kind: "code" })),
    rows: rows.map((row) => titles.map((title) => textCell(row[title] ?? ""))),
    leftOff,
  });
}

const hexLines = (digits: string): string =>
  digits.replaceAll(
    new RegExp(`.{1,${LINE_DIGITS}}`, "g"),
    (line) => `${line.replaceAll(/.{8}/g, "$& ").trimEnd()}\n`,
  );

export function pagesSection({ pages }: InspectReport): Section | undefined {
  if (pages === null) return undefined;
  const { first_pfn: first, last_pfn: last, versions, left_off: leftOff } = pages;
  return {
    id: "versions",
    title: first === last ? `Page ${hex(first)}` : `Pages ${hex(first)} to ${hex(last)}`,
    aside: many(versions.length + leftOff, "version"),
    body: table({
      id: "versions-table",
      caption: "Every version of these pages, in the order they were sent",
      isCaptionHidden: false,
      columns: [
        { title: "Pfn", kind: "number" },
        { title: "Type", kind: "text" },
        { title: "Pass", kind: "number" },
        { title: "Record", kind: "number" },
        { title: "Contents at", kind: "number" },
        { title: "Contents", kind: "text" },
      ],
      rows: versions.map((version) => [
        hexCell(version.pfn),
        textCell(version.type),
        countCell(version.iteration),
        countCell(version.record_number),
        version.offset === null ? EMPTY_CELL : hexCell(version.offset),
        textCell(version.zero === null ? "none" : version.zero ? "zeros" : "not zero"),
      ]),
      leftOff,
    }),
  };
}
