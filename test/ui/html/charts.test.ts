// Bins, shapes and shares: what charts are drawn from.

import { describe, expect, test } from "bun:test";
import { binMap, mapShape, runLengths } from "../../../agent/ui/html/bin-map.ts";
import { bins, columnChart, ticksFor } from "../../../agent/ui/html/column-chart.ts";
import { shareBar } from "../../../agent/ui/html/share-bar.ts";
import { slotsOf, streamStrip } from "../../../agent/ui/html/stream-strip.ts";

describe("a map of bins", () => {
  test.each([
    // bins  columns  rows of cells
    [1, 8, 1],
    [64, 8, 8],
    [65, 16, 5],
    [256, 16, 16],
    [1024, 32, 32],
  ])("of %d has %d columns and %d rows", (count, columns, rows) => {
    const shape = mapShape(count, () => undefined);
    expect(shape.columns).toBe(columns);
    expect(shape.rows.length).toBe(rows);
    expect(shape.rows.reduce((sum, row) => sum + row.count, 0)).toBe(count);
  });

  test("makes one band of rows with nothing to see, and larger cells of the rest", () => {
    const shape = mapShape(1024, (bin) => (bin < 10 || bin > 1020 ? undefined : "holes"));
    expect(shape.columns).toBe(8);
    expect(shape.rows.map(({ first, count, band }) => [first, count, band])).toEqual([
      [0, 8, undefined],
      [8, 8, undefined],
      [16, 1000, "holes"],
      [1016, 8, undefined],
    ]);
  });

  test("keeps bands of different kinds apart, and a single row as cells", () => {
    const kinds = ["holes", "holes", "never sent", "never sent", "holes"];
    const shape = mapShape(40, (bin) => kinds[Math.floor(bin / 8)]);
    expect(shape.rows.map(({ band }) => band)).toEqual(["holes", "never sent", undefined]);
  });

  test("is a handful of elements, however many bins it has", () => {
    const shape = mapShape(1024, () => undefined);
    const classes = (["blue", "amber", "green"] as const).map((fill, index) => ({
      fill,
      shares: Array.from({ length: 1024 }, (_, bin) => ((bin + index) % 3) / 3),
    }));
    const words = { id: "m", title: "Map", description: "All of it" };
    const drawn = { ...words, shape, classes, bytesPerBin: 4096, bandFill: "diag-faint" as const };
    const { markup } = binMap(drawn);
    expect(markup.match(/<[a-z]/g)!.length).toBeLessThan(100);
    expect(markup.length).toBeLessThan(90_000);
  });

  test("fills a cell in proportion, never beyond it, and shows what is rare", () => {
    const shape = mapShape(1, () => undefined);
    const words = { id: "m", title: "Map", description: "", bytesPerBin: 1, shape };
    const classes = [
      { fill: "blue" as const, shares: [0.999] },
      { fill: "amber" as const, shares: [0.001] },
    ];
    const { markup } = binMap({ ...words, classes, bandFill: "diag-faint" });
    const heights = [...markup.matchAll(/d="M[0-9. ]+h40v([0-9.]+)h-40z"/g)].map(([, h]) =>
      Number(h),
    );
    expect(heights.length).toBe(2);
    expect(heights[0]! + heights[1]!).toBeCloseTo(40, 1);
    expect(heights[1]).toBeGreaterThan(3);
  });

  test.each([
    [[], ""],
    [[1, 1, 1, 2], "1*3,2"],
    [[5], "5"],
  ])("hands %j to the script as %j", (counts, text) => {
    expect(runLengths(counts)).toBe(text);
  });
});

describe("a chart of columns", () => {
  test.each([
    [0, [0, 1]],
    [1, [0, 1]],
    [4, [0, 1, 2, 3, 4]],
    [7, [0, 2, 4, 6, 8]],
    [8192, [0, 2500, 5000, 7500, 10_000]],
    [16_777_216, [0, 5_000_000, 10_000_000, 15_000_000, 20_000_000]],
  ])("up to %d has the ticks %j", (most, ticks) => {
    expect(ticksFor(most)).toEqual(ticks);
  });

  test.each([
    [3, 96, [1, 1, 1]],
    [1024, 96, undefined],
    [97, 96, undefined],
  ])("puts a series of %d into at most %d bins and loses nothing", (count, most, sizes) => {
    const groups = bins(
      Array.from({ length: count }, (_, index) => index),
      most,
    );
    expect(groups.length).toBeLessThanOrEqual(most);
    expect(groups.flat().length).toBe(count);
    if (sizes !== undefined) expect(groups.map(({ length }) => length)).toEqual(sizes);
  });

  test("has a name and a description, and a title for each column", () => {
    const column = {
      label: "1",
      value: 7,
      most: 9,
      fill: "blue" as const,
      text: "Pass 1: 7 <pages>",
    };
    const words = { id: "c", title: "Pages", description: "1 pass", unit: "pages" };
    const { markup } = columnChart({ ...words, columns: [column] });
    expect(markup).toContain('role="img" aria-labelledby="c-t" aria-describedby="c-d"');
    expect(markup).toContain("<title>Pass 1: 7 &lt;pages&gt;</title");
    expect(markup).toContain('class="peak"');
  });
});

describe("a bar of shares", () => {
  const part = (label: string, bytes: number) => ({ label, bytes, fill: "blue" as const });

  test("draws what is small once more, larger", () => {
    const parts = [part("pages", 1e9), part("state", 5000), part("config", 900)];
    const { markup } = shareBar({ id: "s", title: "Bytes", parts });
    expect(markup.match(/role="img"/g)).toHaveLength(2);
    expect(markup).toContain("5.8 KiB of it (&lt;0.1%)");
  });

  test.each([[[part("a", 10), part("b", 20)]], [[part("a", 1)]], [[part("a", 10), part("b", 0)]]])(
    "is one bar where nothing is small, or all is: %j",
    (parts) => {
      expect(shareBar({ id: "s", title: "Bytes", parts }).markup.match(/role="img"/g)).toHaveLength(
        1,
      );
    },
  );
});

describe("the strip of a stream", () => {
  const span = (offset: number, endOffset: number, rank: number) => ({
    offset,
    endOffset,
    rank,
    fill: rank > 1 ? ("green" as const) : ("blue" as const),
  });

  test("shows what is short, and lets it win over what is long", () => {
    const slots = slotsOf([span(0, 2 ** 40, 1), span(2 ** 39, 2 ** 39 + 8, 2)], 2 ** 40);
    expect(slots.filter((fill) => fill === "green")).toHaveLength(1);
    expect(slots.filter((fill) => fill === undefined)).toHaveLength(0);
  });

  test("has at most as many elements as slots, whatever the stream claims", () => {
    const spans = Array.from({ length: 2000 }, (_, index) => span(index, index + 1, index % 3));
    const words = { id: "s", title: "Stream", description: "" };
    const { markup } = streamStrip({ ...words, spans, endOffset: 1000 });
    expect(markup.match(/<rect/g)!.length).toBeLessThanOrEqual(480);
  });
});
