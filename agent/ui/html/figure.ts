// The frame around a chart: heading, what it shows in words, the chart, its legend, and the same
// numbers as a table for those who cannot see it or want them exactly.

import { type Html, html, NOTHING, type Part } from "./escape.ts";
import { type Fill, fillClass } from "./fills.ts";

export interface Figure {
  readonly id: string;
  readonly title: string;
  readonly text: Part;
  readonly chart: Part;
  readonly legend: readonly LegendEntry[];
  /** undefined: the table stands beside it already. */
  readonly table: Html | undefined;
}

export interface LegendEntry {
  readonly fill: Fill;
  readonly label: string;
  /** "8,068 pages" */
  readonly detail: string | undefined;
}

export const figure = ({ id, title, text, chart, legend: entries, table }: Figure): Html =>
  html` <figure class="figure" id="${id}" aria-labelledby="${id}-title">
    <figcaption>
      <h3 id="${id}-title">${title}</h3>
      <p>${text}</p>
    </figcaption>
    ${chart}${entries.length > 0 && legend(entries)}${table !== undefined && dataTable(table)}
  </figure>`;

const legend = (entries: readonly LegendEntry[]): Html =>
  html`<ul class="legend">
    ${entries.map(
      ({ fill, label, detail }) =>
        html`<li>
          ${swatch(fill)}<span>${label}</span>${
            detail !== undefined && html`<small>${detail}</small>`
          }
        </li>`,
    )}
  </ul>`;

export const swatch = (fill: Fill): Html =>
  html`<svg class="swatch" width="14" height="14" aria-hidden="true" focusable="false">
    <rect width="14" height="14" rx="2" class="${fillClass(fill)}" />
  </svg>`;

const dataTable = (table: Html): Html =>
  html`<details class="data">
    <summary>The same as a table</summary>
    ${table}
  </details>`;

/** The opening of a drawing that has a name and a description. `size` is our own markup. */
export const drawing = ({ id, title, description, size }: Drawing, body: Part): Html =>
  html`<svg class="drawing" role="img" aria-labelledby="${id}-t" aria-describedby="${id}-d" ${size}>
    <title id="${id}-t">${title}</title>
    <desc id="${id}-d">${description}</desc>
    ${body}
  </svg>`;
interface Drawing {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly size: Html;
}

export const side = (...figures: readonly Part[]): Html =>
  figures.length === 0 ? NOTHING : html`<div class="side">${figures}</div>`;
