// Tables, wrapped text, charts and hexdumps: what people see of inspect.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bar, strip } from "../../agent/ui/charts.ts";
import { hexdump } from "../../agent/ui/hexdump.ts";
import { allowsUnicode, grid, harmless, table, wrapText } from "../../agent/ui/text-layout.ts";
import { sampleStream } from "../../lib/stream/index.ts";
import { agentCommand } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const plain = (columns: number) => ({ columns, coloured: false, unicode: false });

describe("a table", () => {
  const columns = [
    { title: "name" },
    { title: "count", align: "right", drop: 1 },
    { title: "what", wrap: true },
  ] as const;
  const rows = [
    ["first", "1", "some words to wrap, and a few more"],
    ["second", "10,000", "few"],
  ];

  test.each([
    [
      60,
      [
        "  name     count  what",
        "  first        1  some words to wrap, and a few more",
        "  second  10,000  few",
      ],
    ],
    [
      42,
      [
        "  name     count  what",
        "  first        1  some words to wrap, and",
        "                  a few more",
        "  second  10,000  few",
      ],
    ],
    [
      34,
      [
        "  name    what",
        "  first   some words to wrap, and",
        "          a few more",
        "  second  few",
      ],
    ],
  ])("at %i columns", (width, wanted) => {
    expect(table(columns, rows, plain(width))).toEqual(wanted);
  });

  test("leaves out columns without content, and measures what a terminal shows", () => {
    const found = table(
      [{ title: "a" }, { title: "b" }, { title: "c" }],
      [["日本", "", "x"]],
      plain(80),
    );
    expect(found).toEqual(["  a     c", "  日本  x"]);
  });
});

test("words that are longer than a line are broken", () => {
  expect(wrapText("ab abcdefghij k", 4)).toEqual(["ab", "abcd", "efgh", "ij k"]);
});

test("a grid reads along its lines", () => {
  expect(grid(["a 1", "b 22", "c 3"], plain(14))).toEqual(["  a 1   b 22", "  c 3"]);
});

test("control and direction characters are harmless", () => {
  expect(harmless("a\u001b[2J\u009b\u202eb\ufeff")).toBe("a?[2J??b?");
});

test.each([
  [{ LANG: "C.UTF-8" }, true],
  [{ LANG: "en_US.utf8", LC_ALL: "C" }, false],
  [{ LC_CTYPE: "de_DE.UTF-8" }, true],
  [{}, false],
])("the locale %p", (environment, wanted) => {
  expect(allowsUnicode(environment)).toBe(wanted);
});

describe("a chart", () => {
  test.each([
    [0, "", ""],
    [0.001, "▏", "#"],
    [5, "█████", "#####"],
    [5.5, "█████▌", "######"],
    [10, "██████████", "##########"],
    [20, "██████████", "##########"],
  ])("bar of %p of 10", (value, wide, ascii) => {
    expect(bar(value, { most: 10, width: 10, unicode: true })).toBe(wide);
    expect(bar(value, { most: 10, width: 10, unicode: false })).toBe(ascii);
  });

  test("strip shows anything above nothing, and full only what is", () => {
    const shares = [0, 1e-9, 0.5, 0.999, 1];
    expect(strip(shares, { unicode: true })).toBe(" ▁▄▇█");
    expect(strip(shares, { unicode: false })).toBe(" .=#@");
  });
});

describe("a hexdump", () => {
  test("folds repeated lines, and keeps the last", () => {
    const bytes = new Uint8Array(69);
    bytes.set([0x41, 0x7f, 0x20], 64);
    expect(hexdump(bytes, { offset: 0x1000, digits: 5 })).toEqual([
      "01000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|",
      "*",
      "01040  41 7f 20 00 00                                    |A. ..|",
    ]);
    expect(hexdump(new Uint8Array(0), { offset: 0, digits: 3 })).toEqual([]);
  });
});

const SCRIPT = Bun.which("script");

const why = SCRIPT === null ? " (skipped: no script here)" : "";

test.skipIf(SCRIPT === null)(
  `a terminal has colours, but not with NO_COLOR${why}`,
  () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "sample");
    writeFileSync(path, sampleStream());
    const quoted = agentCommand("inspect", path).map((word) => `'${word}'`);
    const onTerminal = (more: Record<string, string>): string => {
      const env = { PATH: process.env.PATH ?? "", TERM: "xterm", LANG: "C.UTF-8", ...more };
      const command = [SCRIPT!, "-qec", quoted.join(" "), "/dev/null"];
      return Bun.spawnSync(command, { env, stdin: "ignore" }).stdout.toString();
    };
    expect(onTerminal({})).toContain("\u001b[1mMemory\u001b[0m");
    const uncoloured = onTerminal({ NO_COLOR: "1" });
    expect(uncoloured).toContain("Memory");
    expect(uncoloured).not.toContain("\u001b[");
    const piped = Bun.spawnSync(agentCommand("inspect", path));
    expect(piped.stdout.toString()).not.toContain("\u001b[");
  },
  20_000,
);
