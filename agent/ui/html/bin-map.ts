// A map of bins, row by row, as a page of a book: memory by pfn. Each cell is one bin, filled from
// its floor in proportion to what it holds. A class of things is one path, whatever the size of the
// guest, so that a map has a dozen elements. Rows in which there is nothing to see become one band.
//
//   0 MiB  [cell][cell][cell] ...
//   4 GiB  [ 3.9 GiB: holes      ]      a band: many rows, all of one quiet kind

import { assert } from "../../../lib/base/index.ts";
import { formatBytes } from "../numbers.ts";
import { type Html, html } from "./escape.ts";
import { drawing } from "./figure.ts";
import { type Fill, fillClass } from "./fills.ts";

const BINS_MAX = 1024;
/** Units of the drawing, about a pixel each: it is scaled to its place. */
const LABEL_WIDTH = 54;
const CELLS_WIDTH = 320;
const BAND_HEIGHT = 20;
const EDGE = 1;
const COLUMNS = [8, 16, 32] as const;
/** What is there is seen, however little it is. */
const SEEN_SHARE_MIN = 0.1;

export interface MapClass {
  readonly fill: Fill;
  /** What fills how much of each bin, as a share. */
  readonly shares: readonly number[];
}

export interface MapRow {
  readonly first: number;
  readonly count: number;
  readonly y: number;
  readonly height: number;
  /** What all of a band is; undefined for a row of cells. */
  readonly band: string | undefined;
}

export interface MapShape {
  readonly columns: number;
  readonly cell: number;
  readonly rows: readonly MapRow[];
  readonly height: number;
}

/** `quiet` says of a bin what it is where there is nothing to see in it. */
export function mapShape(bins: number, quiet: (bin: number) => string | undefined): MapShape {
  assert(bins <= BINS_MAX, "a map has at most 1024 bins");
  for (const columns of COLUMNS) {
    const shape = shapeOf(bins, columns, quiet);
    const cellRows = shape.rows.filter(({ band }) => band === undefined).length;
    if (cellRows <= columns || columns === COLUMNS.at(-1)) return shape;
  }
  throw new RangeError("there is a last number of columns");
}

function shapeOf(
  bins: number,
  columns: number,
  quiet: (bin: number) => string | undefined,
): MapShape {
  const cell = CELLS_WIDTH / columns;
  const kinds = Array.from({ length: Math.ceil(bins / columns) }, (_, row) => {
    const count = Math.min(columns, bins - row * columns);
    const kind = quiet(row * columns);
    const isAll = Array.from({ length: count }, (_item, at) => quiet(row * columns + at)).every(
      (other) => other === kind,
    );
    return isAll ? kind : undefined;
  });
  const rows: MapRow[] = [];
  let y = EDGE;
  for (let row = 0; row < kinds.length;) {
    const kind = kinds[row];
    let end = row + 1;
    while (kind !== undefined && kinds[end] === kind) end++;
    const isBand = end - row > 1;
    if (!isBand) end = row + 1;
    const height = isBand ? BAND_HEIGHT : cell;
    const count = Math.min(end * columns, bins) - row * columns;
    rows.push({ first: row * columns, count, y, height, band: isBand ? kind : undefined });
    y += height;
    row = end;
  }
  return { columns, cell, rows, height: y + EDGE };
}

export interface BinMap {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly shape: MapShape;
  /** Stacked in this order, from the floor of a cell. */
  readonly classes: readonly MapClass[];
  readonly bytesPerBin: number;
  readonly bandFill: Fill;
}

export function binMap(map: BinMap): Html {
  const { id, title, description, shape, classes, bytesPerBin, bandFill } = map;
  const paths = cellPaths(shape, classes);
  const size = html`viewBox="0 0 ${LABEL_WIDTH + CELLS_WIDTH + EDGE} ${round(shape.height)}"`;
  const cells = shape.rows.filter(({ band }) => band === undefined);
  const bands = shape.rows.filter(({ band }) => band !== undefined);
  return html`<div class="map">
    ${drawing({ id, title, description, size }, [
      cells.map(
        ({ y, count, height }) =>
          html`<rect
            class="unsent"
            x="${LABEL_WIDTH}"
            y="${round(y)}"
            width="${round(count * shape.cell)}"
            height="${round(height)}"
          />`,
      ),
      bands.map((row) => bandOf(row, bytesPerBin, bandFill)),
      classes.map(
        ({ fill }, index) => html`<path class="${fillClass(fill)}" d="${paths[index]!}" />`,
      ),
      html`<path class="grid" d="${gridPath(shape)}" />`,
      rowLabels(shape, bytesPerBin),
      html`<rect class="cursor" width="0" height="0" visibility="hidden" />`,
    ])}
  </div>`;
}

function bandOf({ y, height, count, band }: MapRow, bytesPerBin: number, fill: Fill): Html {
  const middle = LABEL_WIDTH + CELLS_WIDTH / 2;
  return html`<rect
      class="${fillClass(fill)}"
      x="${LABEL_WIDTH}"
      y="${round(y + 1.5)}"
      width="${CELLS_WIDTH}"
      height="${height - 3}"
      rx="2"
    /><text class="band" x="${middle}" y="${round(y + 13.5)}"
      >${formatBytes(count * bytesPerBin)}: ${band}</text
    >`;
}

/** For each class the rectangles of all cells; neighbours of the same height are one. */
function cellPaths({ columns, cell, rows }: MapShape, classes: readonly MapClass[]): string[] {
  const paths = classes.map(() => "");
  for (const { first, count, y, band } of rows) {
    if (band !== undefined) continue;
    const open = classes.map(() => ({ from: 0, to: 0, top: 0, height: 0 }));
    const close = (index: number): void => {
      const { from, to, top, height } = open[index]!;
      if (height === 0) return;
      const width = round((to - from) * cell);
      const x = round(LABEL_WIDTH + from * cell);
      paths[index] += `M${x} ${round(top)}h${width}v${round(height)}h-${width}z`;
    };
    for (let column = 0; column < Math.min(columns, count); column++) {
      let floor = y + cell;
      for (const [index, share] of seenShares(classes, first + column).entries()) {
        const height = share * cell;
        const top = floor - height;
        const last = open[index]!;
        floor = top;
        if (last.to === column && last.top === top && last.height === height) {
          last.to = column + 1;
          continue;
        }
        close(index);
        open[index] = { from: column, to: column + 1, top, height };
      }
    }
    for (const index of classes.keys()) close(index);
  }
  return paths;
}

/** The shares of a bin, none of them too small to be seen, together at most 1. */
function seenShares(classes: readonly MapClass[], bin: number): number[] {
  const raised = classes.map(({ shares }) => {
    const share = shares[bin] ?? 0;
    return share > 0 ? Math.max(share, SEEN_SHARE_MIN) : 0;
  });
  const total = raised.reduce((sum, share) => sum + share, 0);
  return total > 1 ? raised.map((share) => share / total) : raised;
}

function gridPath({ columns, cell, rows }: MapShape): string {
  let path = "";
  for (const { y, count, height, band } of rows) {
    if (band !== undefined) continue;
    const width = Math.min(columns, count) * cell;
    path += `M${LABEL_WIDTH} ${round(y)}h${round(width)}m0 ${round(height)}h-${round(width)}`;
    for (let column = 0; column <= Math.min(columns, count); column++) {
      path += `M${round(LABEL_WIDTH + column * cell)} ${round(y)}v${round(height)}`;
    }
  }
  return path;
}

/** Addresses at the left: of every row, or where rows are narrow of every fourth. */
function rowLabels({ rows, cell }: MapShape, bytesPerBin: number): Html[] {
  let free = -Infinity;
  return rows.flatMap(({ first, y, height }) => {
    const at = y + Math.min(height / 2, cell / 2) + 3.5;
    if (at < free) return [];
    free = at + (cell < 16 ? cell * 4 - 1 : 13);
    return [
      html`<text class="row" x="${LABEL_WIDTH - 6}" y="${round(at)}"
        >${formatBytes(first * bytesPerBin)}</text
      >`,
    ];
  });
}

export interface Probe {
  readonly shape: MapShape;
  readonly bins: number;
  readonly pfnsPerBin: number;
  readonly pageBytes: number;
  /** Our own words, and a number for each bin. */
  readonly lists: readonly (readonly [label: string, counts: readonly number[]])[];
}

/**
 * Beside the maps: a slider that goes from bin to bin, by keyboard as well, and says what is in it.
 * The script shows it and reads the lists from its attributes.
 */
export function mapProbe({ shape, bins, pfnsPerBin, pageBytes, lists }: Probe): Html {
  const rows = shape.rows.map(
    ({ first, count, y, height, band }) =>
      `${first} ${count} ${round(y)} ${round(height)} ${band === undefined ? 0 : 1}`,
  );
  const data = lists.map(([label, counts]) => `${label}:${runLengths(counts)}`);
  return html`<div
    class="probe"
    hidden
    data-rows="${rows.join(",")}"
    data-cell="${shape.cell}"
    data-left="${LABEL_WIDTH}"
    data-width="${CELLS_WIDTH}"
    data-pfns="${pfnsPerBin}"
    data-page="${pageBytes}"
    data-lists="${data.join(";")}"
  >
    <label
      >Go through memory <input type="range" min="0" max="${bins - 1}" value="0" step="1" /></label
    ><output aria-live="off"></output>
  </div>`;
}

/** "1020*7,33": a value, and how often it stands there in a row. */
export function runLengths(counts: readonly number[]): string {
  const runs: [value: number, times: number][] = [];
  for (const value of counts) {
    const last = runs.at(-1);
    if (last?.[0] === value) last[1]++;
    else runs.push([value, 1]);
  }
  return runs.map(([value, times]) => (times === 1 ? String(value) : `${value}*${times}`)).join();
}

const round = (value: number): number => Math.round(value * 10) / 10;
