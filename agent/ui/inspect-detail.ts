// What `agent inspect --record` and `--pages` print: one record in full, and every version of some
// pages, with their bytes.

import { hex, plural } from "../../lib/base/index.ts";
import { type PageVersion, RECORD_KEPT_BYTES, type RecordDetail } from "../../lib/stream/index.ts";
import { formatCount } from "./numbers.ts";
import { hexdump } from "./hexdump.ts";
import { paint } from "./colour.ts";
import { INDENT, pairs, paragraph, table, type TextStyle } from "./text-layout.ts";

const OFFSET_DIGITS = 8;
const PAGE_DIGITS = 3;

export function recordDetailText(detail: RecordDetail, style: TextStyle): string {
  const { number, layer, name, type, offset, body_offset: bodyOffset, body_bytes: bytes } = detail;
  const lines = [
    paint(`Record ${number}: ${layer} ${name}`, "heading", style.coloured),
    ...pairs(
      [
        ["type", hex(type)],
        ["offset", hex(offset)],
        ["body", `${formatCount(bytes)} bytes at ${hex(bodyOffset)}`],
        ...detail.fields.map(({ name: field, value }) => [field, value] as const),
      ],
      style,
    ),
  ];
  if (detail.rows.length > 0) lines.push("", ...rowLines(detail.rows, style));
  if (detail.rows_left_off > 0) {
    lines.push(...paragraph(`... and ${plural(detail.rows_left_off, "row")} more`, style));
  }
  const body = Uint8Array.fromHex(detail.body_hex);
  const isPrinted = body.length >= RECORD_KEPT_BYTES && bytes > body.length;
  if (body.length > 0 && !isPrinted) lines.push("", ...bodyLines(body, bodyOffset));
  const contents = isPrinted ? 0 : bytes - body.length;
  if (contents > 0) {
    const at = hex(bodyOffset + body.length);
    const size = `${formatCount(contents)} bytes of page contents from ${at} on`;
    lines.push(...paragraph(`${size}: --pages shows them`, style));
  }
  return `${lines.join("\n")}\n`;
}

/** Bytes of a body, indented, with absolute offsets. */
export const bodyLines = (bytes: Uint8Array, fileOffset: number): string[] =>
  hexdump(bytes, { offset: fileOffset, digits: OFFSET_DIGITS }).map((line) => `${INDENT}${line}`);

/** Rows of different kinds stand in one table: what a row does not have stays empty. */
function rowLines(rows: RecordDetail["rows"], style: TextStyle): string[] {
  const common = Object.keys(rows[0] ?? {}).filter((name) => rows.every((row) => name in row));
  const columns = [
    { title: "#", align: "right" } as const,
    ...common.map((title) => ({ title })),
    { title: "", wrap: true } as const,
  ];
  const cells = rows.map((row, index) => [
    String(index),
    ...common.map((name) => row[name] ?? ""),
    Object.entries(row)
      .filter(([name]) => !common.includes(name))
      .map(([name, value]) => `${name} ${value}`)
      .join(", "),
  ]);
  return table(columns, cells, style);
}

/** One version of a page; the hexdump has offsets inside of the page. */
export function pageVersionText(
  version: PageVersion,
  contents: Uint8Array | undefined,
  style: TextStyle,
): string {
  const { pfn, type, iteration, record_number: record, offset, zero } = version;
  const where = `record ${record}, iteration ${iteration}`;
  const at = offset === null ? "no contents" : `contents at ${hex(offset)}`;
  const title = `pfn ${hex(pfn)}: ${type}, ${where}, ${at}${zero === true ? ", all zero" : ""}`;
  const heading = paint(title, "heading", style.coloured);
  const dump = contents === undefined ? [] : hexdump(contents, { offset: 0, digits: PAGE_DIGITS });
  return `${[heading, ...dump.map((line) => `${INDENT}${line}`)].join("\n")}\n`;
}
