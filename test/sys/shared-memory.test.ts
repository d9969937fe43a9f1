// Memory of two mappings of one memory file.

import { expect, test } from "bun:test";
import {
  copyMemory,
  createMemfd,
  mapShared,
  mapSharedRange,
  resizeFile,
} from "../../lib/sys/index.ts";
import { programCommand, run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

test("what one mapping stores the other sees, and the file cannot be cut short", () => {
  using file = createMemfd("shared");
  resizeFile(file, 8192);
  using writer = mapShared(file, "write");
  using reader = mapShared(file, "read");
  Atomics.store(writer.words, 1025, -7);
  expect(Atomics.load(reader.words, 1025)).toBe(-7);
  expect(messageOf(() => resizeFile(file, 4096))).toContain("EPERM");
});

test("a mapping without views is for copying", () => {
  using file = createMemfd("shared");
  resizeFile(file, 8192);
  using memory = mapShared(file, "write");
  using range = mapSharedRange(file, "write");
  memory.bytes[5] = 5;
  copyMemory(range.address + 4096, range.address, range.length - 4096);
  expect([memory.bytes[4101], range.length]).toEqual([5, 8192]);
  range[Symbol.dispose](); // And once more at the end.
});

test("a mapping that was given back reads as nothing", () => {
  using file = createMemfd("shared");
  resizeFile(file, 4096);
  const memory = mapShared(file, "write");
  memory[Symbol.dispose]();
  memory[Symbol.dispose]();
  expect(memory.bytes.length).toBe(0);
});

test("two processes that count up one word lose no count", () => {
  using file = createMemfd("word");
  resizeFile(file, 4096);
  const { stdout, stderr } = run(programCommand("count-together", "parent", "200000"), {
    descriptors: [file.number],
  });
  expect(stderr).toBe("");
  expect(stdout).toBe("400000");
});
