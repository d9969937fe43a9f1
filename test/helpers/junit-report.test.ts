// The gate of the continuous integration: nothing that went wrong may count as green.

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { summaryLine, verdictOf } from "./junit-report.ts";
import { temporaryFolder } from "./temporary.ts";

const HEAD = 'import { expect, test } from "bun:test";\n';
const PASSES = `${HEAD}test("passes", () => {});\n`;

/** Runs bun test for real on one or two files. */
function verdict(tests: string, acceptedSkips: readonly RegExp[] = []) {
  using folder = temporaryFolder();
  const file = (name: string): string => join(folder.path, name);
  writeFileSync(file("a.test.ts"), PASSES);
  writeFileSync(file("b.test.ts"), tests);
  const command = ["test", "--reporter=junit", "--reporter-outfile=report.xml"];
  const { exitCode } = Bun.spawnSync([process.execPath, ...command], { cwd: folder.path });
  let report: string | undefined;
  try {
    report = readFileSync(file("report.xml"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return { exitCode, ...verdictOf(report, { files: ["a.test.ts", "b.test.ts"], acceptedSkips }) };
}

describe("the report of a run", () => {
  test("counts what passed", () => {
    const found = verdict(PASSES);
    expect(found).toMatchObject({ exitCode: 0, passed: 2, failed: 0, skipped: 0, problems: [] });
    expect(summaryLine(found)).toBe("2 passed, 0 failed, 0 skipped");
  });

  test.each([
    [
      "a failed test",
      `${HEAD}test("a <b> & \\"c\\"", () => expect(1).toBe(2));\n`,
      ['failed: b.test.ts:  > a <b> & "c"'],
    ],
    ["a file that cannot be loaded", 'throw new Error("at load");\n', ["has no result: b.test.ts"]],
    ["a file without tests", "export {};\n", ["has no result: b.test.ts"]],
    [
      "a test that ends the run as if all were well",
      `${HEAD}test("exits", () => process.exit(0));\n`,
      ["has no result: a.test.ts", "has no result: b.test.ts"],
    ],
    [
      "a skipped test",
      `${HEAD}test.skip("waits (skipped: no moon)", () => {});\n`,
      ["must not be skipped here: b.test.ts:  > waits (skipped: no moon)"],
    ],
    [
      "a test that is yet to be written",
      `${HEAD}test.todo("comes");\n`,
      ["must not be skipped here: b.test.ts:  > comes"],
    ],
  ])("is not green after %s", (_, tests, problems) => {
    expect(verdict(tests, [/skipped: no sun/])).toMatchObject({
      problems,
      failed: problems.length,
    });
  });

  test("accepts a test that is skipped for a known reason", () => {
    const found = verdict(`${HEAD}test.skip("waits (skipped: no moon)", () => {});\n`, [
      /skipped: no moon/,
    ]);
    expect(found).toMatchObject({ exitCode: 0, passed: 1, failed: 0, skipped: 1, problems: [] });
    expect(found.notes).toEqual(["b.test.ts:  > waits (skipped: no moon)"]);
  });
});
