// The completion scripts in the shells themselves. bash and zsh run on a terminal, where the key
// that inserts all completions is pressed; `agent` is then a function that writes down its
// arguments. fish answers without one.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS, DROP_INS, GROUPS } from "../../agent/commands.ts";
import { completionScript } from "../../agent/ui/completion.ts";
import { ROOT } from "../helpers/source-files.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
writeFileSync(join(folder.path, "guest.save"), "");
mkdirSync(join(folder.path, "images"));

const answer = join(folder.path, "answer.out");
const script = (shell: "bash" | "zsh" | "fish"): string => {
  const path = join(folder.path, `agent.${shell}`);
  writeFileSync(path, completionScript(shell));
  return path;
};

/** Renamed when whole, because it is waited for. */
const WRITE_DOWN = `agent() { printf '%s\\n' "$@" >answer.tmp; mv answer.tmp answer.out; }`;

/** What to type behind the line, and how each shell is brought to listen. */
const TERMINAL_SHELLS = {
  bash: {
    command: ["bash", "--norc", "--noprofile", "-i"],
    setUp: () => `source "${script("bash")}"; ${WRITE_DOWN}`,
    insertAll: "\x1b*", // readline's insert-completions.
  },
  zsh: {
    command: ["zsh", "-f", "-i"],
    setUp: () =>
      [
        "autoload -Uz compinit && compinit -u -D",
        `source "${script("zsh")}"`,
        "zle -C all-matches complete-word _generic",
        "zstyle ':completion:all-matches::::' completer _all_matches _complete",
        "zstyle ':completion:all-matches:*' insert true",
        "bindkey -e; bindkey '^Xa' all-matches",
        WRITE_DOWN,
      ].join("; "),
    insertAll: "\x18a",
  },
} as const;

/** All that the shell offers behind `line`, sorted; words already on the line are left out. */
async function offers(shell: keyof typeof TERMINAL_SHELLS, line: string): Promise<string[]> {
  const { command, setUp, insertAll } = TERMINAL_SHELLS[shell];
  rmSync(answer, { force: true });
  let screen = "";
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder.path, TERM: "dumb", PS1: "ready> " };
  const child = Bun.spawn([...command], {
    cwd: folder.path,
    env: { ...env, ENV: "", ZDOTDIR: folder.path },
    terminal: {
      cols: 200,
      rows: 50,
      data: (_, data) => void (screen += Buffer.from(data).toString()),
    },
  });
  try {
    child.terminal?.write(`${setUp()}; echo set''up\n`);
    await until(
      () => screen.includes("setup\r\n"),
      () => screen,
    );
    child.terminal?.write(`${line}${insertAll}\n`);
    await until(
      () => existsSync(answer),
      () => screen,
    );
  } finally {
    child.kill("SIGKILL");
    child.terminal?.close();
    await child.exited;
  }
  const typed = line.split(" ").slice(1, -1);
  return readFileSync(answer, "utf8").trim().split("\n").slice(typed.length).sort();
}

async function until(condition: () => boolean, explain: () => string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`The shell did not answer:\n${explain()}`);
    await Bun.sleep(20);
  }
}

function fishOffers(line: string): string[] {
  const command = ["fish", "--no-config", "-c", `source "$argv[1]"; complete -C "$argv[2]"`];
  const { stdout } = Bun.spawnSync([...command, script("fish"), line], {
    cwd: folder.path,
    env: { HOME: folder.path },
  });
  const lines = stdout.toString().trim().split("\n");
  return lines.map((each) => each.split("\t")[0] ?? "").sort();
}

const SHOWN = COMMANDS.filter(({ hidden }) => !hidden).map(({ name }) => name);
const FIRST_WORDS = [...new Set(SHOWN.map((name) => name.split(" ")[0] ?? ""))].sort();
const MEMBERS = (group: string): string[] =>
  SHOWN.filter((name) => name.startsWith(`${group} `))
    .map((name) => name.slice(group.length + 1))
    .sort();
const FORMATS = ["legacy", "libxc", "libxl", "xapi", "xl"];

/**
 * Line, and what every shell must offer; a shell may write an option that takes a value with its =.
 */
const ROWS: readonly (readonly [string, readonly string[]])[] = [
  ["agent ver", ["verify"]],
  ["agent --c", ["--check"]],
  ["agent verify --for", ["--format"]],
  ["agent verify --format ", FORMATS],
  ["agent verify --format=li", ["libxc", "libxl"]],
  ["agent verify -f x", ["xapi", "xl"]],
  ["agent verify gue", ["guest.save"]],
  ["agent verify --strict gue", ["guest.save"]],
  ["agent sample gue", ["guest.save"]],
  ["agent completion ", ["bash", "fish", "zsh"]],
  ["agent help sam", ["sample"]],
  ["agent help ", FIRST_WORDS],
  ["agent store ", MEMBERS("store")],
  ["agent store dump --form", ["--format"]],
  ["agent store dump gue", ["guest.save"]],
];

const withoutOption = (word: string): string =>
  word.replace(/^--\w+=(.+)$/, "$1").replace(/=$/, "");

for (const shell of ["bash", "zsh", "fish"] as const) {
  const isHere = Bun.which(shell) !== null;
  describe.skipIf(!isHere)(`${shell}${isHere ? "" : ` (skipped: there is no ${shell})`}`, () => {
    test.each(ROWS)(
      `completes "%s"`,
      async (line, wanted) => {
        const found = shell === "fish" ? fishOffers(line) : await offers(shell, line);
        expect(found.map(withoutOption)).toEqual([...wanted]);
      },
      30_000,
    );

    test("offers every command that is not hidden", async () => {
      const found = shell === "fish" ? fishOffers("agent ") : await offers(shell, "agent ");
      const commands = found.filter((word) => !word.startsWith("-"));
      expect(commands).toEqual(
        [...new Set([...FIRST_WORDS, ...Object.keys(GROUPS), "help"])].sort(),
      );
    }, 30_000);

    test("can read its script without complaint", () => {
      const { exitCode, stderr } = Bun.spawnSync([shell, "-n", script(shell)]);
      expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
    });
  });
}

describe("agent completion", () => {
  const run = (...operands: string[]) => {
    const command = [process.execPath, "agent/main.ts", "completion", ...operands];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: ROOT });
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  };

  test("prints the script", () => {
    expect(run("zsh")).toEqual({ exitCode: 0, stdout: completionScript("zsh"), stderr: "" });
  });

  test("lists the drop-in names for install.sh", () => {
    const stdout = DROP_INS.map(({ name }) => `${name}\n`).join("");
    expect(run("names")).toEqual({ exitCode: 0, stdout, stderr: "" });
  });

  test.each([[[]], [["tcsh"]], [["bash", "zsh"]]])("refuses %p", (operands) => {
    const stderr = "agent: Cannot run completion: operands: wanted bash, zsh or fish\n";
    expect(run(...operands)).toEqual({ exitCode: 2, stdout: "", stderr });
  });
});
