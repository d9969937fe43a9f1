// The table of descriptors: what is open, which file it is, and what an exec lets through.

import { expect, test } from "bun:test";
import {
  createMemfd,
  descriptorLimit,
  descriptorTarget,
  duplicate,
  fileIdentityOf,
  openDescriptorNumbers,
} from "../../lib/sys/index.ts";
import { programCommand, run } from "../helpers/run.ts";

test("a descriptor is in the table while it is open, and says what it leads to", () => {
  const file = createMemfd("in-the-table");
  expect(openDescriptorNumbers()).toContain(file.number);
  expect(descriptorTarget(file.number)).toBe("/memfd:in-the-table (deleted)");
  file[Symbol.dispose]();
  expect(openDescriptorNumbers()).not.toContain(file.number);
  expect(descriptorTarget(file.number)).toBe("closed");
});

test("duplicates are the same file, two memory files are not", () => {
  using one = createMemfd("one");
  using copy = duplicate(one.number, "a copy");
  using other = createMemfd("one");
  expect(fileIdentityOf(copy.number)).toBe(fileIdentityOf(one.number));
  expect(fileIdentityOf(other.number)).not.toBe(fileIdentityOf(one.number));
});

test("there is a limit of descriptors, and the runtime has raised it", () => {
  const { soft, hard } = descriptorLimit();
  expect(soft).toBe(hard);
  expect(soft).toBeGreaterThanOrEqual(256);
});

test("an exec lets the kept descriptors through and no other", () => {
  const { stdout, stderr } = run(programCommand("keep-only"), {});
  expect(stderr).toBe("");
  const [first = "", second = ""] = stdout.trim().split("\n");
  expect(JSON.parse(first)).toEqual({ strangers: ["/memfd:stranger (deleted)"] });
  expect(JSON.parse(second)).toEqual({
    memoryFiles: ["/memfd:kept (deleted)", "/memfd:kept-too (deleted)"],
    isLimited: true,
  });
});
