// The colours can be told apart, light and dark: contrasts by the formula of WCAG 2.

import { describe, expect, test } from "bun:test";
import { FILLS } from "../../../agent/ui/html/fills.ts";
import { COLOURS, type Colour, PAIRS, paletteCss } from "../../../agent/ui/html/palette.ts";
import { STYLE } from "../../../agent/ui/html/style.ts";
import { DATA_STYLE } from "../../../agent/ui/html/style-of-data.ts";

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(left: string, right: string): number {
  const [darker = 0, lighter = 0] = [luminance(left), luminance(right)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

test("black on white is 21:1", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
});

describe.each(["light", "dark"] as const)("in %s", (scheme) => {
  test.each(PAIRS)("%s on %s is at least %d:1", (ink, back, least) => {
    const found = contrast(COLOURS[ink][scheme], COLOURS[back][scheme]);
    expect(found).toBeGreaterThanOrEqual(least);
  });

  test("the colours of charts differ in lightness, so that no hue is needed", () => {
    const plain = Object.values(FILLS).filter(({ pattern }) => pattern === undefined);
    const steps = plain.filter(({ colour }) => colour.startsWith("step-"));
    const values = steps.map(({ colour }) => luminance(COLOURS[colour][scheme]));
    const sorted = values.toSorted((left, right) => left - right);
    expect(scheme === "dark" ? values : values.toReversed()).toEqual(sorted);
  });
});

test("the style sheets use no colour that is not in the palette", () => {
  const used = [...(STYLE + DATA_STYLE).matchAll(/var\(--([a-z0-9-]+)\)/g)].map(([, name]) => name);
  expect(used.length).toBeGreaterThan(50);
  for (const name of used) expect(Object.keys(COLOURS)).toContain(name as Colour);
  expect((STYLE + DATA_STYLE).match(/#[0-9a-f]{3,8}\b|rgb\(|hsl\(/g)).toBeNull();
  expect(paletteCss()).toContain("prefers-color-scheme:dark");
});
