// The runtime: in what surroundings the program starts. Services and hooks start it in poor ones.

import { dlopen } from "bun:ffi";
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentCommand, programCommand, run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-start-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NOBODY = 65_534;
const isRoot = process.geteuid?.() === 0;
/** System calls from here up are what Linux 4.19 and strict sandboxes have not. */
const FIRST_NEW_CALL = process.arch === "arm64" ? "291" : "332";
const LAST_CALL = "1000000";

test("it starts without environment in an empty directory that it may not write", () => {
  chmodSync(folder, 0o555);
  const options = { env: {}, cwd: folder, ...(isRoot ? { uid: NOBODY } : {}) };
  const { status, stderr, stdout } = run(agentCommand("--version"), options);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toStartWith("agent ");
  expect(readdirSync(folder)).toEqual([]);
});

test("all we rely on works where every system call newer than Linux 4.19 answers ENOSYS", () => {
  const sandbox = programCommand("under-enosys", FIRST_NEW_CALL, LAST_CALL);
  const { status, stderr, stdout } = run([...sandbox, ...agentCommand("check", "--json")], {});
  expect([status, stderr]).toEqual([0, ""]);
  const features = (JSON.parse(stdout) as { kernel_features: { name: string; absence: string }[] })
    .kernel_features;
  for (const name of ["pidfd_open", "close_range"]) {
    expect(features.find((feature) => feature.name === name)).toMatchObject({
      present: false,
      absence: "ENOSYS",
    });
  }
});

test("where the JIT is off there is no bun:ffi, and the program says so", () => {
  const { status, stderr } = run(agentCommand("check"), { env: { BUN_JSC_useJIT: "0" } });
  expect(status).toBe(1);
  expect(stderr).toBe("agent: Cannot use libc.so.6 through bun:ffi: bun:ffi requires the JIT\n");
});

test("a library that is absent is looked for in the current directory: we try only one", () => {
  const name = "libagent-absent.so.1";
  const load = (): unknown => dlopen(name, { absent: { args: [], returns: "int" } });
  expect(messageOf(load)).toContain(join(process.cwd(), name));
});
