// Parts of a whole as one bar, and as a table with the same colours: where the bytes are. What is
// too small to be seen gets a bar of its own below, so that nothing disappears.

import { formatBytes, formatShare } from "../numbers.ts";
import { type Html, html } from "./escape.ts";
import { drawing, swatch } from "./figure.ts";
import { type Fill, fillClass } from "./fills.ts";

export interface SharePart {
  readonly label: string;
  readonly bytes: number;
  readonly fill: Fill;
}

export interface ShareBar {
  readonly id: string;
  readonly title: string;
  readonly parts: readonly SharePart[];
}

/** Below this share a part is seen only in the second bar. */
const SMALL = 0.02;

export function shareBar({ id, title, parts }: ShareBar): Html {
  const present = parts.filter(({ bytes }) => bytes > 0);
  const total = sum(present);
  const small = present.filter(({ bytes }) => bytes / total < SMALL);
  const rest = small.length > 1 && small.length < present.length ? sum(small) : 0;
  return html`<div class="shares">
    ${bar({ id, title, parts: present })}${
      rest > 0 &&
      html`<p class="zoom">
          The last ${formatBytes(rest)} of it (${formatShare(rest / total)}), drawn larger:
        </p>
        ${bar({ id: `${id}-small`, title: `${title}: the small parts`, parts: small })}`
    }
    <table class="shares-table">
      <caption class="unseen">
        ${title}
      </caption>
      <thead class="unseen">
        <tr>
          <th scope="col">Part</th>
          <th scope="col">Size</th>
          <th scope="col">Share</th>
        </tr>
      </thead>
      <tbody>
        ${present.map(
          ({ label, bytes, fill }) =>
            html`<tr>
              <th scope="row">${swatch(fill)}${label}</th>
              <td class="n">${formatBytes(bytes)}</td>
              <td class="n">${formatShare(bytes / total)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function bar({ id, title, parts }: ShareBar): Html {
  const total = sum(parts);
  const description = parts
    .map(({ label, bytes }) => `${label}: ${formatBytes(bytes)}, ${formatShare(bytes / total)}`)
    .join("; ");
  let at = 0;
  const pieces = parts.map(({ label, bytes, fill }) => {
    const share = bytes / total;
    const x = at;
    at += share * 100;
    return html`<g
      ><title>${label}: ${formatBytes(bytes)} (${formatShare(share)})</title
      ><rect
        x="${round(x)}%"
        width="${round(share * 100)}%"
        height="100%"
        class="${fillClass(fill)}"
    /></g>`;
  });
  return drawing({ id, title, description, size: html`width="100%" height="40"` }, pieces);
}

const sum = (parts: readonly SharePart[]): number =>
  parts.reduce((total, { bytes }) => total + bytes, 0);
const round = (value: number): number => Math.round(value * 1000) / 1000;
