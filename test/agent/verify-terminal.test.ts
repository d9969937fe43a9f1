// `agent verify` on a terminal: colours, and the line that shows how far it is. The terminal is one
// that script (util-linux) makes; what is written to it comes out of script.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sampleStream } from "../../lib/stream/index.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SCRIPT = Bun.which("script");
const why = SCRIPT === null ? " (skipped: no script here)" : "";
const SLOW = ["--rate", "200K"]; // 1.3 s for the sample.
const ERASE = "\r\u001b[K";
const SHOWN = /\d+ KiB of 266 KiB {2}\d+% {2}/;

interface Terminal {
  readonly words: readonly string[];
  readonly columns?: number;
  readonly env?: Record<string, string>;
  /** Shell words behind the command, such as "2>/dev/null". */
  readonly redirect?: string;
}

function onTerminal({ words, columns = 100, env = {}, redirect = "" }: Terminal) {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  writeFileSync(path, sampleStream());
  const quoted = [...agentCommand("verify", ...words), path].map((word) => `'${word}'`).join(" ");
  const shell = `stty cols ${columns}; ${quoted} ${redirect}`;
  const environment = { PATH: process.env["PATH"] ?? "", TERM: "xterm", ...env };
  return run([SCRIPT!, "-qec", shell, "/dev/null"], { env: environment });
}

describe.skipIf(SCRIPT === null)(`the progress line${why}`, () => {
  test("appears for slow work on a terminal, and is gone at its end", () => {
    const { status, stdout } = onTerminal({ words: SLOW });
    expect(status).toBe(0);
    expect(stdout).toMatch(SHOWN);
    expect(stdout.lastIndexOf(ERASE)).toBeGreaterThan(stdout.search(SHOWN));
    expect(stdout.slice(stdout.lastIndexOf(ERASE))).toMatch(/^\r\u001b\[K\S*good/);
  });

  test.each([
    ["for quick work", { words: [] }],
    ["with -q", { words: [...SLOW, "-q"] }],
    ["where standard error is no terminal", { words: SLOW, redirect: "2>/dev/null" }],
  ] as const)("does not appear %s", (_, terminal) => {
    const { status, stdout } = onTerminal(terminal);
    expect(status).toBe(0);
    expect(stdout).not.toContain(ERASE);
    expect(stdout).not.toMatch(SHOWN);
  });

  test.each([20, 8, 1])("keeps within a terminal of %d columns", (columns) => {
    const { status, stdout } = onTerminal({ words: SLOW, columns });
    expect(status).toBe(0);
    const shown = stdout.split(ERASE).slice(1, -1);
    expect(shown.length).toBeGreaterThan(0);
    for (const line of shown) expect(line.length).toBeLessThan(columns);
  });

  test("leaves results on a terminal as they are where they go elsewhere", () => {
    const { stdout } = onTerminal({ words: [...SLOW, "--json"], redirect: "2>/dev/null" });
    expect(() => JSON.parse(stdout)).not.toThrow();
  });
});

describe.skipIf(SCRIPT === null)(`colour${why}`, () => {
  const GREEN = "\u001b[32mgood\u001b[0m: ";
  test.each([
    ["on a terminal", {}, GREEN],
    ["with an empty NO_COLOR", { NO_COLOR: "" }, GREEN],
    ["but not with NO_COLOR", { NO_COLOR: "1" }, "good: "],
    ["but not on a dumb terminal", { TERM: "dumb" }, "good: "],
  ] as const)("%s", (_, env, start) => {
    expect(onTerminal({ words: [], env }).stdout).toStartWith(start);
  });

  test("never where results go elsewhere", () => {
    expect(onTerminal({ words: [], redirect: "| cat" }).stdout).toStartWith("good: ");
  });
});
