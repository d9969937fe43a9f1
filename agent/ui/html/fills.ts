// What the parts of a chart are filled with: a colour, and for those that stand side by side also a
// pattern, so that nobody needs the colours. Charts name a fill by its class: "f-diag-orange".

import type { Colour } from "./palette.ts";
import { type Html, html } from "./escape.ts";

/** Paths in a tile of 6 by 6. */
const PATTERNS = {
  diag: "M-1 1L1-1M0 6L6 0M5 7L7 5",
  cross: "M0 0L6 6M6 0L0 6",
  dots: "M1.5 1.5h1.6v1.6h-1.6zM4.5 4.5h1.6v1.6h-1.6z",
  upright: "M1.5 0V6M4.5 0V6",
} as const;
type Pattern = keyof typeof PATTERNS;

const plain = (colour: Colour) => ({ colour, pattern: undefined, line: undefined });
const patterned = (pattern: Pattern, colour: Colour, line: Colour = "surface") => ({
  colour,
  pattern,
  line,
});

export const FILLS = {
  blue: plain("blue"),
  sky: plain("sky"),
  amber: plain("amber"),
  green: plain("green"),
  purple: plain("purple"),
  grey: plain("grey"),
  "diag-orange": patterned("diag", "orange"),
  "dots-green": patterned("dots", "green"),
  "cross-red": patterned("cross", "red"),
  "upright-purple": patterned("upright", "purple"),
  "diag-faint": patterned("diag", "faint", "faint-line"),
  "dots-faint": patterned("dots", "faint", "faint-line"),
  "step-1": plain("step-1"),
  "step-2": plain("step-2"),
  "step-3": plain("step-3"),
  "step-4": plain("step-4"),
  "step-5": plain("step-5"),
} as const satisfies Readonly<
  Record<string, { colour: Colour; pattern: Pattern | undefined; line: Colour | undefined }>
>;
export type Fill = keyof typeof FILLS;

export const fillClass = (fill: Fill): string => `f-${fill}`;

/** Filled dots, stroked lines. */
const isSolid = (pattern: Pattern): boolean => pattern === "dots";

/** The tiles, once in a page: charts refer to them by name. */
export const patternTiles = (): Html =>
  html`<svg class="tiles" width="0" height="0" aria-hidden="true" focusable="false">
    <defs>
      ${Object.entries(FILLS).map(
        ([name, { pattern }]) =>
          pattern !== undefined &&
          html`<pattern id="t-${name}" width="6" height="6" patternUnits="userSpaceOnUse"
            ><rect class="b-${name}" width="6" height="6" /><path
              class="${isSolid(pattern) ? "d" : "l"}-${name}"
              d="${PATTERNS[pattern]}"
          /></pattern>`,
      )}
    </defs>
  </svg>`;

export const fillsCss = (): string =>
  Object.entries(FILLS)
    .map(([name, { colour, pattern, line }]) =>
      pattern === undefined
        ? `.f-${name}{fill:var(--${colour})}`
        : `.f-${name}{fill:url(#t-${name})}.b-${name}{fill:var(--${colour})}` +
          (isSolid(pattern)
            ? `.d-${name}{fill:var(--${line})}`
            : `.l-${name}{stroke:var(--${line});stroke-width:1.1;fill:none}`),
    )
    .join("");
