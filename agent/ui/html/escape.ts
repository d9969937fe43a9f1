// Markup from templates. Every string of a stream is hostile, so nothing becomes markup unless it
// was written as such in our source: html`<td>${name}` escapes `name`, whatever it holds.
//
// Characters that act without being seen (controls, and those that turn the direction of writing)
// stand as visible escapes: a name cannot pass itself off as another.

/** Markup that is safe to put into a page. Only this file makes it. */
export interface Html {
  readonly markup: string;
}

/** What a template takes: false, null and undefined are nothing. */
export type Part = Html | string | number | false | null | undefined | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};
/** C0 but tab and line feed, DEL, C1, marks of direction, zero widths, line separators, BOM. */
const UNSEEN = new RegExp(
  "[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b-\\u200f\\u2028-\\u202e" +
    "\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]",
  "g",
);
const LONE_SURROGATE = /\p{Surrogate}/gu;

class Markup implements Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** For text between tags and for attribute values in double quotes. */
export const escapeText = (text: string): string =>
  text
    .replaceAll(UNSEEN, visible)
    .replaceAll(LONE_SURROGATE, visible)
    .replaceAll(/[&<>"'`]/g, (character) => ENTITIES[character]!);

const visible = (character: string): string => {
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
};

/**
 * A template whose literal text is markup, and whose values are escaped unless they are Html. How
 * the source is indented is not in the page.
 */
export function html(literals: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const texts = narrow(literals);
  let markup = texts[0]!;
  for (const [index, part] of parts.entries()) markup += markupOf(part) + texts[index + 1]!;
  return new Markup(markup);
}

const narrowed = new WeakMap<TemplateStringsArray, readonly string[]>();

function narrow(literals: TemplateStringsArray): readonly string[] {
  const known = narrowed.get(literals);
  if (known !== undefined) return known;
  const texts = literals.map((text) => text.replaceAll(/\s*\n\s*/g, "\n"));
  narrowed.set(literals, texts);
  return texts;
}

export const NOTHING: Html = new Markup("");

function markupOf(part: Part): string {
  if (part === undefined || part === null || part === false) return "";
  if (typeof part === "string") return escapeText(part);
  if (typeof part === "number") return String(part);
  if (part instanceof Markup) return part.markup;
  if (Array.isArray(part)) return part.map(markupOf).join("");
  throw new TypeError("Cannot put this into a page: it was not made by html``");
}

/** Our own style sheet or script, as it is: neither ever holds text of a stream. */
export const trusted = (text: string): Html => new Markup(text);

/** At most `most` characters, and how many there were. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  const kept = text.slice(0, most);
  return `${kept} \u2026 (${text.length} characters in all)`;
}
