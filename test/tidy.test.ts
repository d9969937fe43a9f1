// The house style and the import rules, as far as a program can check them. A rule that fails names
// file and line; change the code, not the rule, unless the house style itself has changed.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, sourceFile, sourceFiles } from "./helpers/source-files.ts";
import { RULES } from "./helpers/tidy-rules.ts";

const FILES = sourceFiles("agent", "lib", "test", "build.ts");

describe("the sources keep the house style", () => {
  test.each(Object.entries(RULES))("%s", (_, rule) => {
    expect(rule(FILES)).toEqual([]);
  });
});

const HEAD = "// Job.\n";
const LONG_FUNCTION = `function long() {\n${"  step();\n".repeat(70)}}\n`;

/** For each rule files that break it, and the beginning of what it says. */
const BAD: Readonly<Record<string, readonly (readonly [Record<string, string>, string])[]>> = {
  "a file opens with a comment": [
    [{ "lib/base/x.ts": "export const a = 1;\n" }, "lib/base/x.ts:1:"],
  ],
  "a file has at most 400 lines": [
    [{ "lib/base/x.ts": HEAD + "call();\n".repeat(400) }, "lib/base/x.ts: 401 lines"],
  ],
  "a line has at most 100 columns, in an aligned table 120": [
    [{ "lib/base/x.ts": `${HEAD}call(${"a".repeat(100)});\n` }, "lib/base/x.ts:2: 107 columns"],
    [
      { "lib/base/x.ts": `${HEAD}  ["a",   "${"a".repeat(120)}"],\n` },
      "lib/base/x.ts:2: 134 columns",
    ],
  ],
  "files are named in kebab-case after what they hold": [
    [{ "lib/base/camelCase.ts": HEAD }, "lib/base/camelCase.ts:"],
    [{ "lib/base/utils.ts": HEAD }, "lib/base/utils.ts:"],
  ],
  "there are no banned words": [
    [{ "lib/base/x.ts": `// ${"TO" + "DO"}: later.\n` }, "lib/base/x.ts:1:"],
    [{ "lib/base/x.ts": `${HEAD}// @ts-${"ignore"}\n` }, "lib/base/x.ts:2:"],
    [{ "lib/base/x.ts": `${HEAD}// oxlint-${"disable"}-next-line no-empty\n` }, "lib/base/x.ts:2:"],
  ],
  "there is no any, enum, require, default export or export *": [
    [{ "lib/base/x.ts": `${HEAD}let a: any;\n` }, "lib/base/x.ts:2: the type any"],
    [{ "lib/base/x.ts": `${HEAD}call(a as any);\n` }, "lib/base/x.ts:2: the type any"],
    [
      { "lib/base/x.ts": `${HEAD}let a: Map<string, Array<any>>;\n` },
      "lib/base/x.ts:2: the type any",
    ],
    [{ "lib/base/x.ts": `${HEAD}export default 1;\n` }, "lib/base/x.ts:2: a default export"],
    [{ "lib/base/x.ts": `${HEAD}export * from "./y.ts";\n` }, "lib/base/x.ts:2: export *"],
    [{ "lib/base/x.ts": `${HEAD}export enum A { b }\n` }, "lib/base/x.ts:2: an enum"],
    [{ "lib/base/x.ts": `${HEAD}const a = require("a");\n` }, "lib/base/x.ts:2: require"],
  ],
  "index.ts holds exports by name and nothing else": [
    [{ "lib/base/index.ts": `${HEAD}export const a = 1;\n` }, "lib/base/index.ts: wanted only"],
  ],
  "a function has at most 70 lines": [
    [{ "lib/base/x.ts": HEAD + LONG_FUNCTION }, "lib/base/x.ts:2: a function of 72 lines"],
    [
      { "lib/base/x.ts": `${HEAD}const a = () => {\n${"  b();\n".repeat(70)}};\n` },
      "lib/base/x.ts:2:",
    ],
    [
      { "lib/base/x.ts": `${HEAD}  get(\n  ): A {\n${"    b();\n".repeat(70)}  }\n` },
      "lib/base/x.ts:3:",
    ],
    [
      { "lib/base/x.ts": `${HEAD}  m(a: B): C {\n${"    b();\n".repeat(70)}  }\n` },
      "lib/base/x.ts:2:",
    ],
  ],
  "only agent/main.ts sees argv or exits": [
    [{ "agent/ui/x.ts": `${HEAD}process.exit(0);\n` }, "agent/ui/x.ts:2: process.exit"],
    [{ "lib/sys/x.ts": `${HEAD}call(process.argv);\n` }, "lib/sys/x.ts:2: process.argv"],
    [{ "lib/sys/x.ts": `${HEAD}process.exitCode = 1;\n` }, "lib/sys/x.ts:2: process.exitCode"],
  ],
  "lib never prints": [
    [{ "lib/sys/x.ts": `${HEAD}console.log(1);\n` }, "lib/sys/x.ts:2:"],
    [{ "lib/sys/x.ts": `${HEAD}process.stderr.write("a");\n` }, "lib/sys/x.ts:2:"],
  ],
  "lib never imports agent, and nothing imports tests": [
    [
      { "lib/base/x.ts": `${HEAD}import { a } from "../../agent/exit.ts";\n` },
      "lib/base/x.ts:2: lib",
    ],
    [
      { "lib/base/x.ts": `${HEAD}import type { A } from "../../agent/exit.ts";\n` },
      "lib/base/x.ts:2:",
    ],
    [
      { "agent/x.ts": `${HEAD}const a = import("../test/helpers/a.ts");\n` },
      "agent/x.ts:2: only tests",
    ],
  ],
  "base, sys, bytes and the formats import only what is below them": [
    [
      { "lib/base/x.ts": `${HEAD}import { a } from "../sys/index.ts";\n` },
      "lib/base/x.ts:2: lib/base",
    ],
    [{ "lib/sys/x.ts": `${HEAD}import type { A } from "../bytes/index.ts";\n` }, "lib/sys/x.ts:2:"],
    [{ "lib/bytes/x.ts": `${HEAD}import { a } from "../stream/index.ts";\n` }, "lib/bytes/x.ts:2:"],
    [
      { "lib/stream/xl/x.ts": `${HEAD}import { a } from "../libxl/index.ts";\n` },
      "lib/stream/xl/x.ts:2:",
    ],
    [
      { "lib/stream/xl/x.ts": `${HEAD}import { a } from "../../sys/index.ts";\n` },
      "lib/stream/xl/x.ts:2:",
    ],
  ],
  "a room is imported through its index.ts": [
    [
      { "lib/stream/x.ts": `${HEAD}import { a } from "../base/assert.ts";\n` },
      "lib/stream/x.ts:2:",
    ],
    [{ "agent/x.ts": `${HEAD}export {\n  a,\n} from "../lib/base/assert.ts";\n` }, "agent/x.ts:2:"],
  ],
  "bun:ffi stays in lib/sys, consola in agent/ui": [
    [{ "lib/stream/x.ts": `${HEAD}import { read } from "bun:ffi";\n` }, "lib/stream/x.ts:2:"],
    [
      { "agent/commands/x.ts": `${HEAD}import { consola } from "consola";\n` },
      "agent/commands/x.ts:2:",
    ],
  ],
  "every file is imported": [[{ "lib/base/x.ts": HEAD }, "lib/base/x.ts: nothing"]],
  "no file imports itself": [
    [{ "lib/base/x.ts": `${HEAD}import { a } from "./x.ts";\n` }, "lib/base/x.ts:2:"],
  ],
  "neighbours import each other by name": [
    [{ "lib/base/x.ts": `${HEAD}import { a } from "./index.ts";\n` }, "lib/base/x.ts:2:"],
  ],
  "rooms do not import each other in a circle": [
    [
      {
        "lib/snapshot/x.ts": `${HEAD}import { a } from "../device/index.ts";\n`,
        "lib/device/y.ts": `${HEAD}import type { A } from "../snapshot/index.ts";\n`,
      },
      "Rooms import each other: lib/snapshot > lib/device > lib/snapshot",
    ],
  ],
  "files do not import each other in a circle": [
    [
      {
        "lib/base/x.ts": `${HEAD}import { a } from "./y.ts";\n`,
        "lib/base/y.ts": `${HEAD}import { b } from "./x.ts";\n`,
      },
      "Files import each other: lib/base/x.ts > lib/base/y.ts > lib/base/x.ts",
    ],
  ],
};

describe("the rules bite", () => {
  test.each(Object.keys(RULES))("each has a bad example: %s", (name) => {
    const examples = BAD[name] ?? [];
    expect(examples).not.toBeEmpty();
    for (const [files, problem] of examples) {
      const found = RULES[name]?.(
        Object.entries(files).map(([path, text]) => sourceFile(path, text)),
      );
      expect(found).toEqual([expect.stringContaining(problem)]);
    }
  });

  test("they keep quiet about good code", () => {
    const good = {
      "agent/main.ts": `${HEAD}import { a } from "../lib/base/index.ts";\nprocess.exitCode = a;\n`,
      "lib/base/index.ts": `${HEAD}export { a } from "./x.ts";\nexport type { A } from "./x.ts";\n`,
      "lib/base/x.ts": `${HEAD}export const a = { any: any(u32), b: "let c: any" }; // as any\n`,
    };
    const files = Object.entries(good).map(([path, text]) => sourceFile(path, text));
    expect(Object.values(RULES).flatMap((rule) => rule(files))).toEqual([]);
  });
});

describe("the tools agree", () => {
  const run = (...command: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: ROOT });
    return { exitCode, output: exitCode === 0 ? "" : `${stdout}${stderr}` };
  };
  const clean = { exitCode: 0, output: "" };

  test("bun check finds no type errors", () => {
    expect(run(process.execPath, "check")).toEqual(clean);
  }, 60_000);

  test("oxlint finds nothing", () => {
    expect(run(process.execPath, "run", "lint")).toEqual(clean);
  }, 60_000);
});

test("no file that would be committed tells where it was written", () => {
  const list = ["git", "ls-files", "-z", "-co", "--exclude-standard"];
  const listing = Bun.which("git") === null ? undefined : Bun.spawnSync(list, { cwd: ROOT });
  const listed =
    listing?.exitCode === 0 ? listing.stdout.toString().split("\0").filter(Boolean) : [];
  const paths = listed.length > 0 ? listed : FILES.map(({ path }) => path); // Unpacked without git.
  // Assembled, so that this file does not find itself.
  const telling = new RegExp(
    ["/" + "work/", "npm" + "js\\.", "/" + "root/", "anthro" + "pic"].join("|"),
    "i",
  );
  const found = paths.filter((path) => {
    const file = join(ROOT, path);
    return existsSync(file) && telling.test(readFileSync(file, "latin1"));
  });
  expect(found).toEqual([]);
});
