// The frame of a self-contained page: one file, no network, no resource of its own. Its policy lets
// in nothing but the one style sheet and the one script below, by their hashes: markup that slipped
// in could neither run, nor load, nor send anything.

import { type Html, html, type Part, trusted } from "./escape.ts";
import { fillsCss, patternTiles } from "./fills.ts";
import { paletteCss } from "./palette.ts";
import { SCRIPT } from "./script.ts";
import { section, type Section } from "./section.ts";
import { STYLE } from "./style.ts";
import { DATA_STYLE } from "./style-of-data.ts";

export interface Page {
  readonly title: string;
  /** Who made it: "agent inspect". */
  readonly maker: string;
  /** What is seen first, with the h1. */
  readonly hero: Part;
  readonly sections: readonly Section[];
}

const STYLE_SHEET = (paletteCss() + fillsCss() + STYLE + DATA_STYLE).replaceAll("\n", "");
const SCRIPT_TEXT = SCRIPT.replaceAll(/^ +/gm, "");

const hashOf = (text: string): string =>
  `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`;

const POLICY = [
  "default-src 'none'",
  `style-src ${hashOf(STYLE_SHEET)}`,
  `script-src ${hashOf(SCRIPT_TEXT)}`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Whole, so that nothing stands inside them but what was hashed. */
const STYLE_TAG = trusted(`<style>${STYLE_SHEET}</style>`);
const SCRIPT_TAG = trusted(`<script>${SCRIPT_TEXT}</script>`);

const navigation = (sections: readonly Section[]): Html =>
  html`<nav class="sections" aria-label="Sections">
    <ul>
      ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
    </ul>
  </nav>`;

export function renderPage({ title, maker, hero, sections }: Page): string {
  const page: Html = html`<!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(POLICY)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        ${STYLE_TAG}
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        ${patternTiles()}
        <div class="frame">
          <div class="top">
            <span>${maker}</span><button type="button" class="theme" hidden>Theme: auto</button>
          </div>
          <main id="content" tabindex="-1">
            <header class="hero">${hero}</header>
            <div class="columns">
              ${sections.length > 1 && navigation(sections)}
              <div class="body">${sections.map(section)}</div>
            </div>
          </main>
        </div>
        ${SCRIPT_TAG}
      </body>
    </html> `;
  return page.markup;
}
