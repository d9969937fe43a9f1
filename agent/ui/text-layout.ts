// Text for people, laid out to a width: tables whose least important columns go first when the
// terminal is narrow, lists of names and values, wrapped words. Widths are those a terminal shows.

import { isTerminal, STDOUT_FD } from "../../lib/sys/index.ts";
import { paint, type Style, wantsColour } from "./colour.ts";

export interface TextStyle {
  readonly columns: number;
  readonly coloured: boolean;
  /** Block characters for charts; without them plain ASCII. */
  readonly unicode: boolean;
}

/** Where there is no terminal to ask: wide enough for all tables, and for a mail. */
const COLUMNS_DEFAULT = 100;
const COLUMNS_MIN = 40;

type Environment = Readonly<Record<string, string | undefined>>;

/** The locale's characters are UTF-8. The first of the three that is set counts. */
export const allowsUnicode = ({ LC_ALL = "", LC_CTYPE = "", LANG = "" }: Environment): boolean =>
  /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG);

export function stdoutStyle(): TextStyle {
  const columns = isTerminal(STDOUT_FD) ? process.stdout.columns : 0;
  return {
    columns: columns > 0 ? Math.max(columns, COLUMNS_MIN) : COLUMNS_DEFAULT,
    coloured: wantsColour(STDOUT_FD),
    unicode: allowsUnicode(process.env),
  };
}

export const INDENT = "  ";
const GAP = "  ";
const WRAP_WIDTH_MIN = 12;

export interface Column {
  readonly title: string;
  readonly align?: "right";
  /** May be left out where there is no room; the highest goes first. */
  readonly drop?: number;
  /** Takes what room is left, in several lines. */
  readonly wrap?: true;
}
export type Cell = string | { readonly text: string; readonly style: Style };

const textOf = (cell: Cell | undefined): string =>
  typeof cell === "string" ? cell : (cell?.text ?? "");

/** Characters from a stream that could move a terminal's cursor or turn its text around. */
const HARMFUL = // oxlint-disable-next-line no-control-regex -- they are what is looked for.
  /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
export const harmless = (text: string): string => text.replace(HARMFUL, "?");

/** Lines of the table, indented. Columns without any content are left out. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  style: TextStyle,
): string[] {
  const widths = columns.map((column, index) => {
    const cells = rows.map((row) => Bun.stringWidth(harmless(textOf(row[index]))));
    const widest = Math.max(0, ...cells.slice(0, 100_000));
    return widest === 0 ? 0 : Math.max(widest, column.title.length);
  });
  const kept = fitting(columns, widths, style.columns);
  const room = style.columns - INDENT.length;
  const others = kept.filter((index) => columns[index]!.wrap === undefined);
  const used = others.reduce((sum, index) => sum + widths[index]! + GAP.length, 0);
  for (const index of kept) {
    if (columns[index]!.wrap === undefined) continue;
    widths[index] = Math.min(widths[index]!, Math.max(WRAP_WIDTH_MIN, room - used));
  }
  const titles = columns.map(({ title }): Cell => ({ text: title, style: "faint" }));
  const hasTitles = kept.some((index) => columns[index]!.title !== "");
  return [...(hasTitles ? [titles] : []), ...rows].flatMap((row) =>
    rowLines(row, { kept, columns, widths, coloured: style.coloured }),
  );
}

/** Indices of the columns that are shown. */
function fitting(columns: readonly Column[], widths: readonly number[], most: number): number[] {
  let kept = [...columns.keys()].filter((index) => widths[index]! > 0);
  const least = (index: number): number => {
    const width = widths[index]!;
    return columns[index]!.wrap === true ? Math.min(width, WRAP_WIDTH_MIN * 2) : width;
  };
  for (;;) {
    const total = kept.reduce((sum, index) => sum + least(index) + GAP.length, 0);
    if (total - GAP.length + INDENT.length <= most) return kept;
    const droppable = kept.filter((index) => columns[index]!.drop !== undefined);
    if (droppable.length === 0) return kept;
    const first = droppable.reduce((worst, index) =>
      columns[index]!.drop! > columns[worst]!.drop! ? index : worst,
    );
    kept = kept.filter((index) => index !== first);
  }
}

interface RowLayout {
  readonly kept: readonly number[];
  readonly columns: readonly Column[];
  readonly widths: readonly number[];
  readonly coloured: boolean;
}

function rowLines(row: readonly Cell[], { kept, columns, widths, coloured }: RowLayout): string[] {
  const cells = kept.map((index) => {
    const text = harmless(textOf(row[index]));
    return columns[index]!.wrap === true ? wrapText(text, widths[index]!) : [text];
  });
  const height = Math.max(1, ...cells.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) => {
    const parts = kept.map((index, place) => {
      const text = cells[place]![line] ?? "";
      const cell = row[index];
      const painted =
        typeof cell === "object" && text !== "" ? paint(text, cell.style, coloured) : text;
      const padding = " ".repeat(Math.max(0, widths[index]! - Bun.stringWidth(text)));
      return columns[index]!.align === "right" ? padding + painted : painted + padding;
    });
    return `${INDENT}${parts.join(GAP)}`.trimEnd();
  });
}

/** Lines of at most `width` columns, broken at spaces, and inside of words that are longer. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (Bun.stringWidth(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (Bun.stringWidth(line) > width) {
      const [first, rest] = splitAt(line, width);
      lines.push(first);
      line = rest;
    }
  }
  return [...lines, line];
}

function splitAt(text: string, width: number): [string, string] {
  let first = "";
  for (const character of text) {
    if (first !== "" && Bun.stringWidth(first + character) > width) break;
    first += character;
  }
  return [first, text.slice(first.length)];
}

/** "name   value" lines; values wrap. */
export const pairs = (rows: readonly (readonly [string, Cell])[], style: TextStyle): string[] =>
  table([{ title: "" }, { title: "", wrap: true }], rows, style);

/** Words side by side in columns of equal width, read along the lines. */
export function grid(words: readonly string[], style: TextStyle): string[] {
  const width = Math.max(0, ...words.map((word) => word.length));
  const perLine = Math.max(1, Math.floor((style.columns - INDENT.length + 2) / (width + 2)));
  const lines: string[] = [];
  for (let at = 0; at < words.length; at += perLine) {
    const cells = words.slice(at, at + perLine).map((word) => word.padEnd(width));
    lines.push(`${INDENT}${cells.join(GAP)}`.trimEnd());
  }
  return lines;
}

/** Sentences below a table. */
export const paragraph = (text: string, style: TextStyle): string[] =>
  wrapText(harmless(text), style.columns - INDENT.length).map((line) => `${INDENT}${line}`);
