// The compiled binary, and build.ts that makes it.

import { describe, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "./helpers/binary.ts";
import { ROOT } from "./helpers/source-files.ts";
import { temporaryFolder } from "./helpers/temporary.ts";

const VERSION_LINE =
  /^agent \d+\.\d+\.\d+ \(([0-9a-f]{8}(-dirty)?|unknown), linux-\S+, Bun [\d.]+\)\n$/;
const BUILD_TIMEOUT_MS = 60_000;

interface Run {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

function run(command: string[], { cwd = ROOT, env = {} }: Run = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, env });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe("the binary", () => {
  test(
    "says its version, commit and target",
    () => {
      const { exitCode, stdout } = run([builtBinary(), "--version"]);
      expect(stdout).toMatch(VERSION_LINE);
      expect(stdout).toContain(
        `agent ${JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version} `,
      );
      expect(exitCode).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test("starts without environment in an empty read-only directory and writes nothing", () => {
    using folder = temporaryFolder();
    chmodSync(folder.path, 0o555);
    const { exitCode, stdout, stderr } = run([builtBinary(), "help"], { cwd: folder.path });
    expect({ exitCode, stderr, files: readdirSync(folder.path) }).toEqual({
      exitCode: 0,
      stderr: "",
      files: [],
    });
    expect(stdout).toContain("Usage: agent COMMAND");
  });

  test("runs no code of the directory it is started in", () => {
    using folder = temporaryFolder();
    const injected = join(folder.path, "injected.ts");
    writeFileSync(injected, 'console.log("INJECTED"); process.exit(9);\n');
    writeFileSync(join(folder.path, "bunfig.toml"), `preload = ["${injected}"]\n`);
    writeFileSync(join(folder.path, ".env"), `BUN_OPTIONS=--preload=${injected}\n`);
    const { exitCode, stdout } = run([builtBinary(), "--version"], { cwd: folder.path });
    expect(stdout).toMatch(VERSION_LINE);
    expect(exitCode).toBe(0);
  });

  test("refuses the code that BUN_OPTIONS names", () => {
    using folder = temporaryFolder();
    const injected = join(folder.path, "injected.ts").replaceAll(" ", "\\ ");
    writeFileSync(join(folder.path, "injected.ts"), 'console.log("INJECTED");\n');
    const env = { BUN_OPTIONS: `--preload ${injected}` };
    const { exitCode, stdout } = run([builtBinary(), "--version"], { env });
    expect(stdout).not.toContain("INJECTED");
    expect(exitCode).not.toBe(0);
  });

  test("takes no options of Bun on its command line", () => {
    const { exitCode, stderr } = run([builtBinary(), "--eval", "1"]);
    expect(stderr).toContain('There is no option "--eval"');
    expect(exitCode).toBe(2);
  });
});

describe("build.ts", () => {
  const build = (folder: string, ...options: string[]) =>
    run([process.execPath, join(folder, "build.ts"), ...options], { cwd: folder });

  /** A project of one file, so that a broken source breaks no other test. */
  function project(folder: string, main: string, bunVersion = Bun.version): void {
    cpSync(join(ROOT, "build.ts"), join(folder, "build.ts"));
    mkdirSync(join(folder, "agent"));
    writeFileSync(join(folder, "agent/main.ts"), main);
    const manifest = { version: "1.2.3", type: "module", devDependencies: { bun: bunVersion } };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  }

  test(
    "replaces the former product whole, and leaves nothing else",
    () => {
      using folder = temporaryFolder();
      const line =
        "`agent ${AGENT_VERSION} (${AGENT_COMMIT}, ${AGENT_TARGET}, Bun ${Bun.version})`";
      project(folder.path, `console.log(${line});`);
      mkdirSync(join(folder.path, "dist"));
      writeFileSync(join(folder.path, "dist/agent"), "former");
      const { exitCode, stdout, stderr } = build(folder.path);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toMatch(
        /^agent 1\.2\.3 \(unknown, linux-\S+, Bun \S+\)\n.*dist\/agent: [\d.]+ MB in [\d.]+ s\n$/,
      );
      expect(readdirSync(join(folder.path, "dist"))).toEqual(["agent"]);
      expect(run([join(folder.path, "dist/agent")]).stdout).toMatch(/^agent 1\.2\.3 /);
    },
    BUILD_TIMEOUT_MS,
  );

  test.each([
    ["a source that does not compile", "const = 1;", "Cannot compile:"],
    ["a program with another version line", 'console.log("1.4.5");', "--version should print"],
    ["a program that fails", "process.exit(1);", "with status 1"],
  ])(
    "leaves the former product where it met %s",
    (_, main, message) => {
      using folder = temporaryFolder();
      project(folder.path, main);
      mkdirSync(join(folder.path, "dist"));
      writeFileSync(join(folder.path, "dist/agent"), "former");
      const { exitCode, stderr } = build(folder.path);
      expect(stderr).toContain(message);
      expect(exitCode).toBe(1);
      expect(readdirSync(join(folder.path, "dist"))).toEqual(["agent"]);
      expect(readFileSync(join(folder.path, "dist/agent"), "utf8")).toBe("former");
    },
    BUILD_TIMEOUT_MS,
  );

  test("refuses to run under another Bun than the pinned one", () => {
    using folder = temporaryFolder();
    project(folder.path, "", "0.0.1");
    const { exitCode, stderr } = build(folder.path);
    expect(stderr).toStartWith(
      `build.ts: Cannot build with Bun ${Bun.version}: package.json pins 0.0.1`,
    );
    expect(exitCode).toBe(1);
  });

  test.each([
    [
      ["--target", "plan9-x64"],
      1,
      'Cannot build for "plan9-x64": wanted one of linux-x64, linux-arm64',
    ],
    [["--fast"], 2, "Unknown option '--fast'"],
    [["dist/agent"], 2, "Unexpected argument 'dist/agent'"],
  ])("refuses %p", (options, status, message) => {
    const { exitCode, stderr } = build(ROOT, ...options);
    expect(stderr).toStartWith(`build.ts: ${message}`);
    expect(exitCode).toBe(status);
  });

  const mayFetch = process.env["AGENT_TEST_REGISTRY"] === "1";
  const reason = mayFetch ? "" : " (skipped: AGENT_TEST_REGISTRY=1 allows to fetch their Bun)";
  test.skipIf(!mayFetch).each([
    ["linux-arm64", 183],
    ["linux-x64-musl", 62],
    ["linux-arm64-musl", 183],
  ])(
    `builds for other machines${reason}: %s`,
    (target, elfMachine) => {
      using folder = temporaryFolder();
      const out = join(folder.path, "agent");
      const env = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? folder.path };
      const command = [process.execPath, "build.ts", "--target", target, "--out", out];
      const { exitCode, stderr } = run(command, { env });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(readFileSync(out).readUInt16LE(18)).toBe(elfMachine);
    },
    120_000,
  );
});
