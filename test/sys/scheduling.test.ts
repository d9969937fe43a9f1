// The scheduling class, in a process of its own.

import { expect, test } from "bun:test";
import { programCommand, run } from "../helpers/run.ts";

test("every thread becomes idle, and normal again", () => {
  const { stdout, stderr } = run(programCommand("become-scheduled"), {});
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toEqual([
    "normal true",
    "idle true, threads of another class: 0",
    "normal true, threads of another class: 0",
  ]);
});
