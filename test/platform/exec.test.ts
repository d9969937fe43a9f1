// The kernel and the runtime: what goes through an exec in place, which is how a live update
// happens.

import { expect, test } from "bun:test";
import { createMemfd } from "../../lib/sys/index.ts";
import { programCommand, run } from "../helpers/run.ts";

type Generation = Readonly<Record<string, unknown>>;

function generations(): readonly Generation[] {
  using kept = createMemfd("kept");
  using keptToo = createMemfd("kept-too");
  const descriptors = [kept.number, keptToo.number];
  const { stdout, stderr } = run(programCommand("exec-generations"), { descriptors });
  expect(stderr).toBe("");
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Generation);
}

const [before = {}, after = {}] = generations();

test("exec keeps pid, parent, cwd, umask, priority and the ignored signals", () => {
  for (const name of ["pid", "ppid", "cwd", "umask", "nice", "ignoredSignals"]) {
    expect([name, after[name]]).toEqual([name, before[name]]);
  }
});

test("exec keeps a descriptor whose flag was cleared, with its number and content", () => {
  expect(after.keptContent).toBe("written before");
});

test("exec closes the descriptors whose flag is set", () => {
  expect(before.memoryFiles).toEqual(["dropped", "kept", "kept-too"]);
  expect(after.memoryFiles).toEqual(["kept", "kept-too"]);
});

test("the runtime marks inherited descriptors from 4 up close-on-exec, and leaves 3 alone", () => {
  expect(before.closedOnExecAtStart).toEqual([false, true]);
  expect(after.closedOnExecAtStart).toEqual([false, true]);
});

test("the monotonic clock goes on through an exec, the runtime's own begins again", () => {
  expect(Number(after.monotonicMs)).toBeGreaterThan(Number(before.monotonicMs));
  // Had it gone on, it would be ahead of the first reading by as much as the kernel's clock is.
  const passedMs = Number(after.monotonicMs) - Number(before.monotonicMs);
  expect(Number(after.runtimeMs)).toBeLessThan(Number(before.runtimeMs) + passedMs);
});

test("no signal is blocked when a process starts, nor after an exec", () => {
  expect([before.blockedSignals, after.blockedSignals]).toEqual(["0".repeat(16), "0".repeat(16)]);
});
