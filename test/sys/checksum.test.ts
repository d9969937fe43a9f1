// SHA-256 over a descriptor.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { createMemfd, sha256Of } from "../../lib/sys/index.ts";
import { messageOf } from "../helpers/system-error.ts";

const STEP_BYTES = 256 * 1024;

test.each([0, 5, STEP_BYTES, 9 * STEP_BYTES + 1])("the checksum of %d bytes", (length) => {
  using file = createMemfd("summed");
  const bytes = Buffer.alloc(length, "abc");
  writeSync(file.number, bytes);
  let breaths = 0;
  const wanted = createHash("sha256").update(bytes).digest("hex");
  expect(sha256Of(file, () => void breaths++)).toBe(wanted);
  expect(breaths).toBe(Math.floor(length / STEP_BYTES));
});

test("a file that changes meanwhile has no checksum", () => {
  using file = createMemfd("summed");
  writeSync(file.number, Buffer.alloc(1024 * 1024));
  const change = (): void => void writeSync(file.number, "more");
  expect(messageOf(() => sha256Of(file, change))).toContain("it changed meanwhile");
});
