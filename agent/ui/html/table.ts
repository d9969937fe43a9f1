// Tables that can be read without a script; with one, the buttons in their headers sort and a box
// above them searches. Row headers stay where they are when a table scrolls.

import { formatBytes, formatCount } from "../numbers.ts";
import { cut, type Html, html, type Part } from "./escape.ts";

export interface Column {
  readonly title: string;
  /** text: as words; code: as it stands in the stream; number: right-aligned, sorts as a number. */
  readonly kind: "text" | "code" | "number" | "bar";
}

export interface Cell {
  readonly content: Part;
  /** What to sort by where it is not the content. */
  readonly sort: number | undefined;
}

export interface Table {
  /** Our own word, one of its kind in the page. */
  readonly id: string;
  readonly caption: string;
  /** What it says is seen elsewhere, by those who see. */
  readonly isCaptionHidden: boolean;
  readonly columns: readonly Column[];
  /** The first cell of each row is its header. */
  readonly rows: readonly (readonly Cell[])[];
  /** Rows that are not even in `rows`. */
  readonly leftOff: number;
}

/** Browsers stay quick, and pages small; a report can have thousands of keys or sections. */
const ROWS_MAX = 1024;
const BODY_CHARACTERS_MAX = 100_000;
const CELL_CHARACTERS_MAX = 1000;
/** A table that is seen as a whole needs no search. */
const SEARCH_ROWS_MIN = 9;

export const textCell = (text: string): Cell => ({
  content: cut(text, CELL_CHARACTERS_MAX),
  sort: undefined,
});
export const countCell = (count: number | null): Cell => ({
  content: count === null ? "?" : formatCount(count),
  sort: count ?? -1,
});
export const bytesCell = (bytes: number): Cell => ({
  content: html`<span title="${formatCount(bytes)} bytes">${formatBytes(bytes)}</span>`,
  sort: bytes,
});
export const hexCell = (value: number): Cell => ({
  content: `0x${value.toString(16)}`,
  sort: value,
});
export const EMPTY_CELL: Cell = { content: "", sort: undefined };

/** `value` as a bar of a share of `most`; the number itself stands in another cell. */
export const barCell = (value: number, most: number): Cell => ({
  content: html`<svg class="mini" aria-hidden="true" focusable="false">
    <rect
      width="${
        most === 0 ? 0 : Math.max(value > 0 ? 0.7 : 0, Math.round((value / most) * 1000) / 10)
      }%"
      height="100%"
    />
  </svg>`,
  sort: value,
});

export function table({ id, caption, isCaptionHidden, columns, rows, leftOff }: Table): Html {
  const shown = bodyRows(rows, columns);
  const more = rows.length - shown.length + leftOff;
  const isSortable = shown.length > 1;
  return html`<div class="table" id="${id}">
    ${!isCaptionHidden && html`<p class="caption" aria-hidden="true">${caption}</p>`}${
      shown.length >= SEARCH_ROWS_MIN && searchBox(caption)
    }
    <div class="scroll" role="region" aria-labelledby="${id}-caption">
      <table>
        <caption class="unseen" id="${id}-caption">
          ${caption}
        </caption>
        <thead>
          <tr>
            ${columns.map((column) => head(column, isSortable))}
          </tr>
        </thead>
        <tbody>
          ${shown}
        </tbody>
      </table>
    </div>
    ${
      more > 0 &&
      html`<p class="more">${formatCount(more)} more rows: --json has what is known.</p>`
    }
    <p class="unseen" role="status"></p>
  </div>`;
}

/** As many rows as there is room for. */
function bodyRows(rows: Table["rows"], columns: Table["columns"]): Html[] {
  const shown: Html[] = [];
  let characters = 0;
  for (const row of rows.slice(0, ROWS_MAX)) {
    const cells = row.map((cell, index) => bodyCell(cell, columns[index]!, index));
    const made = html`<tr>
      ${cells}
    </tr>`;
    characters += made.markup.length;
    if (characters > BODY_CHARACTERS_MAX) break;
    shown.push(made);
  }
  return shown;
}

const searchBox = (caption: string): Html =>
  html`<div class="tools" hidden>
    <label
      >Search
      <input
        type="search"
        autocomplete="off"
        spellcheck="false"
        aria-label="Search: ${caption}" /></label
    ><span class="found"></span>
  </div>`;

const KIND_CLASSES = { text: "", code: "c", number: "n", bar: "bar" } as const;

function head({ title, kind }: Column, isSortable: boolean): Html {
  const of = kind === "text" ? "" : html` class="${KIND_CLASSES[kind]}"`;
  if (!isSortable || kind === "bar") return html`<th scope="col" ${of}>${title}</th>`;
  // Without a script the button does nothing: it is enabled by the script.
  return html`<th scope="col" ${of} aria-sort="none">
    <button type="button" disabled>${title}<i aria-hidden="true"></i></button>
  </th>`;
}

/** End tags of rows and cells may be left out: that is a tenth of a large page. */
function bodyCell({ content, sort }: Cell, { kind }: Column, index: number): Html {
  const classes = kind === "text" ? wordClass(content, index) : KIND_CLASSES[kind];
  const of = classes !== "" && html` class="${classes}"`;
  const key = needsKey(content, sort) && html` data-v="${sort}"`;
  return index === 0
    ? html`<th scope="row" ${of}${key}>${content}</th>`
    : html`<td${of}${key}>${content}`;
}

/** Short names stay on one line; words that no line can hold may be broken anywhere. */
function wordClass(content: Part, index: number): string {
  if (typeof content !== "string") return "";
  if (/\S{33}/.test(content)) return "w";
  return index === 0 || content.length <= 20 ? "q" : "";
}

/** A script reads "1,024" and "0x400" itself. */
const needsKey = (content: Part, sort: number | undefined): boolean =>
  sort !== undefined &&
  !(typeof content === "string" && Number(content.replaceAll(",", "")) === sort);
