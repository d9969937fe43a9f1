// The colours of a page, light and dark, by what they mean. Chart colours differ in lightness as
// well as in hue, so that they stay apart for the colour-blind; what a chart says with one it says
// with a pattern or a label too. A test computes every contrast that PAIRS asks for.

type Scheme = "light" | "dark";
type Colours = Readonly<Record<Scheme, string>>;

export const COLOURS = {
  page: { light: "#f4f6f8", dark: "#0e1318" },
  surface: { light: "#ffffff", dark: "#161d24" },
  sunken: { light: "#eef1f4", dark: "#1e2730" },
  border: { light: "#d5dce3", dark: "#2d3945" },
  control: { light: "#76828f", dark: "#7b8997" },
  text: { light: "#15202b", dark: "#e7ecf1" },
  muted: { light: "#4d5b69", dark: "#a3b1be" },
  accent: { light: "#0a5a9c", dark: "#74b8f5" },
  good: { light: "#0b6b46", dark: "#5ccb98" },
  "good-back": { light: "#e2f4ec", dark: "#10291f" },
  warn: { light: "#7f4d00", dark: "#f0b454" },
  "warn-back": { light: "#fdf1dc", dark: "#2e2310" },
  bad: { light: "#b3191f", dark: "#ff8d85" },
  "bad-back": { light: "#fdeaea", dark: "#371717" },
  // Charts: hues after Okabe and Ito, their lightness moved until 3:1 on the surface holds.
  blue: { light: "#1b6ca8", dark: "#4a9fe0" },
  sky: { light: "#3a95cf", dark: "#8cc9f2" },
  orange: { light: "#c65a11", dark: "#f09a4e" },
  amber: { light: "#a87900", dark: "#f2d264" },
  green: { light: "#0b8a63", dark: "#3fc094" },
  purple: { light: "#8c4a86", dark: "#cf94c9" },
  grey: { light: "#7b8794", dark: "#84929f" },
  red: { light: "#c4262d", dark: "#ff7a70" },
  faint: { light: "#dce2e8", dark: "#2a343e" },
  "faint-line": { light: "#b3bec9", dark: "#44515e" },
  // One hue by lightness, for how often: each step is told from the next, and written beside it.
  "step-1": { light: "#d3e4f1", dark: "#1b3347" },
  "step-2": { light: "#9cc5e3", dark: "#265478" },
  "step-3": { light: "#5a9fd0", dark: "#3b7fb3" },
  "step-4": { light: "#1f6fa9", dark: "#6db1e2" },
  "step-5": { light: "#0a3c63", dark: "#cfe8fb" },
} as const satisfies Readonly<Record<string, Colours>>;
export type Colour = keyof typeof COLOURS;

/** What must be told apart: the first on the second, at least so many to one (WCAG 2.2 AA). */
export const PAIRS: readonly (readonly [Colour, Colour, number])[] = [
  ...(["text", "muted", "accent", "good", "warn", "bad"] as const).flatMap((ink) =>
    (["page", "surface", "sunken"] as const).map((back) => [ink, back, 4.5] as const),
  ),
  ["good", "good-back", 4.5],
  ["warn", "warn-back", 4.5],
  ["bad", "bad-back", 4.5],
  ["text", "good-back", 4.5],
  ["text", "warn-back", 4.5],
  ["text", "bad-back", 4.5],
  ["text", "faint", 4.5],
  ["control", "surface", 3],
  ["control", "page", 3],
  ...(["blue", "sky", "orange", "amber", "green", "purple", "grey", "red"] as const).map(
    (fill) => [fill, "surface", 3] as const,
  ),
  ["step-2", "step-1", 1.3],
  ["step-3", "step-2", 1.3],
  ["step-4", "step-3", 1.3],
  ["step-5", "step-4", 1.3],
];

const variables = (scheme: Scheme): string =>
  Object.entries(COLOURS)
    .map(([name, colours]) => `--${name}:${colours[scheme]};`)
    .join("");

/** Light unless the system or the reader asks for dark; on paper always light. */
export const paletteCss = (): string =>
  `:root{color-scheme:light dark;${variables("light")}}` +
  "@media screen and (prefers-color-scheme:dark)" +
  `{:root:not([data-theme=light]){${variables("dark")}}}` +
  `@media screen{:root[data-theme=dark]{color-scheme:dark;${variables("dark")}}}` +
  ":root[data-theme=light]{color-scheme:light}";
