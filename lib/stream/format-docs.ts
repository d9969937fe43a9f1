// The documentation of every format, made from the layout tables that the code itself reads by.

import { hex } from "../base/index.ts";
import { docs, type Layout, sizeOf } from "../bytes/index.ts";
import { convertDifferenceDocs } from "./convert/index.ts";
import type { Format } from "./detect.ts";
import { LEGACY_CHUNKS } from "./legacy/index.ts";
import { DOMAIN_HEADER, IMAGE_HEADER, LIBXC, PAGE_TYPES, type Tail } from "./libxc/index.ts";
import { LIBXL, LIBXL_HEADER, RECORD_HEADER } from "./libxl/index.ts";
import { XAPI, XAPI_HEADER } from "./xapi/index.ts";
import { CONFIG_HEAD, SAVE_HEADER } from "./xl/index.ts";

const table = (title: string, layout: Layout): string[] =>
  sizeOf(layout) === 0
    ? [`### ${title}`, "", "No fields.", ""]
    : [
        `### ${title}`,
        "",
        "| offset | type | field | accepted |",
        "|---|---|---|---|",
        ...docs(layout),
        "",
      ];

function tailText(tail: Tail): string {
  switch (tail.kind) {
    case "none":
      return "";
    case "bytes":
      return tail.min === tail.max ? `Then ${tail.min} bytes.` : "Then bytes.";
    case "rows":
      return `Then rows of ${sizeOf(tail.row)} bytes:`;
    case "pages":
      return "Then a u64 for each pfn, then 4096 bytes for each pfn whose type carries data.";
  }
}

function libxcDocs(): string[] {
  const lines = [...table("Image header", IMAGE_HEADER), ...table("Domain header", DOMAIN_HEADER)];
  for (const { name, type, head, tail, guest, since } of Object.values(LIBXC)) {
    const only = guest === "any" ? "" : `, ${guest.toUpperCase()} only`;
    lines.push(...table(`${name} (${hex(type)}, since version ${since}${only})`, head));
    const text = tailText(tail);
    if (text !== "") lines.push(text, "");
    if (tail.kind === "rows") lines.push(...table(`${name} row`, tail.row).slice(2));
  }
  lines.push("### Page types", "", "| type | name | contents in the stream |", "|---|---|---|");
  for (const [type, { name, hasData, known }] of PAGE_TYPES.entries()) {
    lines.push(`| ${hex(type)} | ${known ? name : "not defined"} | ${hasData ? "yes" : "no"} |`);
  }
  return [...lines, ""];
}

const libxlDocs = (): string[] => [
  ...table("Header", LIBXL_HEADER),
  ...table("Record header", RECORD_HEADER),
  ...Object.values(LIBXL).flatMap(({ name, type, head, meaning }) => [
    ...table(`${name} (${hex(type)}): ${meaning}`, head),
  ]),
];

const xapiDocs = (): string[] => [
  ...table("Record header, behind the 15-byte signature", XAPI_HEADER),
  "| type | record | content |",
  "|---|---|---|",
  ...XAPI.map(({ type, name, meaning }) => `| ${hex(type)} | ${name} | ${meaning} |`),
  "",
];

const legacyDocs = (): string[] => [
  "| marker | chunk | payload |",
  "|---|---|---|",
  ...LEGACY_CHUNKS.map(({ marker, name, payload }) => `| ${marker} | ${name} | ${payload.kind} |`),
  "",
  ...convertDifferenceDocs(),
];

const DOCS: Readonly<Record<Format, () => string[]>> = {
  xl: () => [
    ...table("Save header, behind the magic", SAVE_HEADER),
    ...table("Config", CONFIG_HEAD),
  ],
  libxl: libxlDocs,
  libxc: libxcDocs,
  xapi: xapiDocs,
  legacy: legacyDocs,
};

/** Markdown for one format. */
export const formatDocs = (format: Format): string =>
  [`## ${format}`, "", ...DOCS[format]()].join("\n");
