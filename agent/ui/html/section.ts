// The parts that a page's text is made of: sections with headings in order, collapsible parts,
// tiles with a number, lists of names and values, notes.

import { type Html, html, type Part } from "./escape.ts";

export interface Section {
  /** For links: our own word, never text of a stream. */
  readonly id: string;
  readonly title: string;
  /** What stands beside the title: "8,192 pages". */
  readonly aside: string | undefined;
  readonly body: Part;
}

export const section = ({ id, title, aside, body }: Section): Html =>
  html` <section id="${id}" class="section" aria-labelledby="${id}-title">
    <header class="section-head">
      <h2 id="${id}-title">${title}</h2>
      ${aside !== undefined && html`<p class="aside">${aside}</p>`}
    </header>
    ${body}
  </section>`;

/** Something with a heading of its own inside a section, behind a disclosure. */
export const collapsible = ({ title, aside, isOpen, body }: Collapsible): Html =>
  html` <details class="part" ${isOpen && html` open`}>
    <summary>
      <h3>${title}</h3>
      ${aside !== undefined && html`<span class="aside">${aside}</span>`}
    </summary>
    <div class="part-body">${body}</div>
  </details>`;
interface Collapsible {
  readonly title: string;
  readonly aside: string | undefined;
  readonly isOpen: boolean;
  readonly body: Part;
}

export interface Tile {
  readonly name: string;
  readonly value: string;
  readonly note: string | undefined;
}

/** Numbers to see first. */
export const tiles = (list: readonly Tile[]): Html =>
  html`<dl class="tiles-row">
    ${list.map(
      ({ name, value, note }) =>
        html`<div class="tile">
          <dt>${name}</dt>
          <dd><b>${value}</b>${note !== undefined && html`<span>${note}</span>`}</dd>
        </div>`,
    )}
  </dl>`;

/** Names and values; values are set as code where `isCode`. */
export function pairs(
  list: readonly (readonly [name: string, value: Part])[],
  { isCode }: { readonly isCode: boolean },
): Html {
  return html`<dl class="pairs${isCode && " code"}">
    ${list.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

export const chips = (list: readonly Part[]): Html =>
  html`<ul class="chips">
    ${list.map((chip) => html`<li>${chip}</li>`)}
  </ul>`;

export type Mood = "good" | "warn" | "bad" | "plain";

const MOOD_MARKS = { good: "✓", warn: "!", bad: "✕", plain: "i" } as const;

/** A sentence or two that stand out. The mark says in another way than colour what it is. */
export const notice = (mood: Mood, body: Part): Html =>
  html`<div class="notice ${mood}">
    <span class="mark" aria-hidden="true">${MOOD_MARKS[mood]}</span>
    <div>${body}</div>
  </div>`;

export const paragraph = (body: Part): Html => html`<p class="say">${body}</p>`;

/** What is not in this stream. */
export const absent = (body: Part): Html => html`<p class="absent">${body}</p>`;

export const code = (text: string): Html => html`<code>${text}</code>`;
