// A chart of columns. Places are percents and sizes pixels, so that it fits any width and its text
// never shrinks. It draws at most COLUMNS_MAX columns: longer series are put into bins by bins().

import { assert } from "../../../lib/base/index.ts";
import { formatCount } from "../numbers.ts";
import { type Html, html } from "./escape.ts";
import { drawing } from "./figure.ts";
import { type Fill, fillClass } from "./fills.ts";

export const COLUMNS_MAX = 128;

export interface ChartColumn {
  /** Below the column. */
  readonly label: string;
  readonly value: number;
  /** The largest of what the column stands for, where that is several: a mark above it. */
  readonly most: number | undefined;
  readonly fill: Fill;
  /** The whole of it in words. */
  readonly text: string;
}

export interface ColumnChart {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly columns: readonly ChartColumn[];
  /** What the values count: "pages". */
  readonly unit: string;
}

const PLOT = { top: 26, height: 190, bottom: 26 } as const;
/** Characters that fit side by side on a phone, and on a laptop. */
const CHARACTERS = { narrow: 36, wide: 90 } as const;

export function columnChart({ id, title, description, columns, unit }: ColumnChart): Html {
  assert(columns.length <= COLUMNS_MAX, "a chart has as many columns as can be told apart");
  const most = Math.max(1, ...columns.map(({ value, most: peak }) => peak ?? value));
  const ticks = ticksFor(most);
  const top = ticks.at(-1)!;
  const yOf = (value: number): number => round(PLOT.top + PLOT.height * (1 - value / top));
  const texts = textsFor(columns);
  const size = html`width="100%" height="${PLOT.top + PLOT.height + PLOT.bottom}"`;
  return html`<div class="chart">
    <svg
      class="axis"
      width="${axisWidth(ticks)}"
      height="${PLOT.top + PLOT.height + PLOT.bottom}"
      aria-hidden="true"
      focusable="false"
    >
      <text x="0" y="10" class="unit">${unit}</text>
      ${ticks.map(
        (tick) => html`<text x="100%" y="${yOf(tick) + 4}" class="end">${formatCount(tick)}</text>`,
      )}</svg
    >${drawing({ id, title, description, size }, [
      ticks.map((tick) => html`<line x1="0" x2="100%" y1="${yOf(tick)}" y2="${yOf(tick)}" />`),
      columns.map((column, index) =>
        oneColumn(column, { index, count: columns.length, texts, yOf }),
      ),
    ])}
  </div>`;
}

interface Place {
  readonly index: number;
  readonly count: number;
  readonly texts: Texts;
  readonly yOf: (value: number) => number;
}

function oneColumn(column: ChartColumn, { index, count, texts, yOf }: Place): Html {
  const slot = 100 / count;
  const width = round(Math.min(slot * (count > 40 ? 0.9 : 0.62), 13));
  const middle = round(slot * (index + 0.5));
  const x = round(middle - width / 2);
  const floor = yOf(0);
  const y = column.value > 0 ? Math.min(yOf(column.value), floor - 1.5) : floor;
  const peak = column.most === undefined ? undefined : yOf(column.most);
  return html`<g
    ><title>${column.text}</title
    ><rect
      class="hit"
      x="${round(slot * index)}%"
      y="${PLOT.top}"
      width="${round(slot)}%"
      height="${PLOT.height}"
    /><rect
      class="${fillClass(column.fill)}"
      x="${x}%"
      y="${y}"
      width="${width}%"
      height="${round(floor - y)}"
      rx="${count > 40 ? 0 : 1.5}"
    />${
      peak !== undefined &&
      html`<line class="peak" x1="${x}%" x2="${round(x + width)}%" y1="${peak}" y2="${peak}" />`
    }${
      texts.values !== undefined &&
      html`<text class="value${texts.values}" x="${middle}%" y="${round(y - 5)}"
        >${formatCount(column.value)}</text
      >`
    }${
      index % texts.every.wide === 0 &&
      html`<text
        class="label${index % texts.every.narrow !== 0 && ONLY_WIDE}"
        x="${middle}%"
        y="${floor + 17}"
        >${column.label}</text
      >`
    }</g
  >`;
}

const ONLY_WIDE = " wide-only";

/** Which texts fit. */
interface Texts {
  /** The class of the values above columns; undefined: they are left out. */
  readonly values: "" | typeof ONLY_WIDE | undefined;
  /** Every how many columns one has a label below; the narrow ones are among the wide ones. */
  readonly every: { readonly narrow: number; readonly wide: number };
}

function textsFor(columns: readonly ChartColumn[]): Texts {
  const room = (texts: readonly string[]): number =>
    columns.length * (Math.max(1, ...texts.map(({ length }) => length)) + 1);
  const values = room(columns.map(({ value }) => formatCount(value)));
  const labels = room(columns.map(({ label }) => label));
  const wide = Math.ceil(labels / CHARACTERS.wide);
  return {
    values: values <= CHARACTERS.narrow ? "" : values <= CHARACTERS.wide ? ONLY_WIDE : undefined,
    every: { wide, narrow: Math.ceil(labels / CHARACTERS.narrow / wide) * wide },
  };
}

/** 0 and up to five round numbers, the last one not below `most`. */
export function ticksFor(most: number): number[] {
  const raw = Math.max(1, most) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw)! * power);
  const whole = Math.ceil(step);
  return Array.from(
    { length: Math.ceil(Math.max(1, most) / whole) + 1 },
    (_, index) => index * whole,
  );
}

const axisWidth = (ticks: readonly number[]): number =>
  Math.max(34, formatCount(ticks.at(-1)!).length * 7 + 4);

/** Groups of neighbours, so that there are at most `most` of them. */
export function bins<T>(list: readonly T[], most: number): (readonly T[])[] {
  const size = Math.max(1, Math.ceil(list.length / most));
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}

const round = (value: number): number => Math.round(value * 100) / 100;
