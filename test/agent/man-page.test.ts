// The manual page: complete, and without a complaint from the programs that read it.

import { describe, expect, test } from "bun:test";
import { COMMANDS, DROP_INS } from "../../agent/commands.ts";
import { EXIT_MEANING } from "../../agent/exit.ts";
import { manualPage } from "../../agent/ui/man-page.ts";
import { ROOT } from "../helpers/source-files.ts";

const PAGE = manualPage();

const READERS = [
  ["groff", "-man", "-ww", "-Tutf8", "-Kutf8"],
  ["mandoc", "-T", "lint", "-W", "style"],
  ["man", "--warnings=w", "-l", "-"],
];

describe("the manual page", () => {
  for (const command of READERS) {
    const [name = ""] = command;
    const isHere = Bun.which(name) !== null;
    const reason = isHere ? "" : ` (skipped: there is no ${name})`;
    test.skipIf(!isHere)(`is clean for ${name}${reason}`, () => {
      const env = { ...process.env, MANPAGER: "cat", LC_ALL: "C.UTF-8" };
      const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
        stdin: Buffer.from(PAGE),
        env,
      });
      const lint = name === "mandoc" ? stdout.toString() : ""; // The others print the page.
      expect({ exitCode, stderr: stderr.toString(), lint }).toEqual({
        exitCode: 0,
        stderr: "",
        lint: "",
      });
    });
  }

  const plain = PAGE.replaceAll(/\\f[BIR]/g, "").replaceAll("\\-", "-");

  test.each(COMMANDS)("has $name with its options, or leaves it out where it is hidden", (spec) => {
    const { name, operands, options, hidden } = spec;
    const part = plain
      .split(/^\.S[SH] /m)
      .find((section) => section.startsWith(`${name} ${operands}`.trim()));
    expect(part === undefined).toBe(hidden === true);
    for (const option of hidden ? [] : options) expect(part).toContain(`--${option.name}`);
  });

  test("has the other names, every exit status and the usual sections", () => {
    const lines = plain.split("\n");
    for (const { name } of DROP_INS) expect(lines).toContain(`.B ${name}`);
    for (const [status] of EXIT_MEANING) expect(lines).toContain(`.B ${status}`);
    expect(lines.filter((line) => line.startsWith(".SH "))).toEqual([
      ...[".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH COMMANDS", ".SH OTHER NAMES"],
      ...[".SH EXIT STATUS", ".SH ENVIRONMENT", ".SH FILES", ".SH EXAMPLES"],
    ]);
  });

  test("shows only commands and options that exist", () => {
    const examples = [...plain.matchAll(/^\.EX\n(.*)\n\.EE$/gm)].flatMap(([, line = ""]) =>
      line.split(/ && | \| /),
    );
    const calls = examples
      .filter((line) => line.startsWith("agent "))
      .map((line) => line.split(" "));
    expect(calls.length).toBeGreaterThan(3);
    for (const [, command, ...words] of calls) {
      const spec = COMMANDS.find(
        ({ name }) => name === command || name === `${command} ${words[0]}`,
      );
      const options = words.filter((word) => word.startsWith("--")).map((word) => word.slice(2));
      expect(spec?.options.map(({ name }) => name)).toContainValues(options);
    }
  });

  test("keeps dots, quotes and backslashes at the beginning of a line as text", () => {
    for (const line of PAGE.split("\n")) {
      if (/^['.]/.test(line)) expect(line).toMatch(/^\.(TH|SH|SS|PP|TP|B|I|br|in|EX|EE)\b/);
    }
  });

  test("is what agent man prints", () => {
    const { stdout, exitCode } = Bun.spawnSync([process.execPath, "agent/main.ts", "man"], {
      cwd: ROOT,
    });
    expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 0, stdout: PAGE });
  });
});
