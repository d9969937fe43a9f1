// Memory files and their seals.

import { expect, test } from "bun:test";
import { readSync, writeSync } from "node:fs";
import {
  createMemfd,
  isClosedOnExec,
  makePipe,
  resizeFile,
  SEAL_MASK,
  sealMemfd,
  sealsOf,
} from "../../lib/sys/index.ts";
import { messageOf } from "../helpers/system-error.ts";

test("a memory file is empty, closed on exec, without seals, and keeps what is written", () => {
  using file = createMemfd("test");
  expect(file.name).toBe(`fd ${file.number} (memory file "test")`);
  expect(isClosedOnExec(file)).toBe(true);
  expect(sealsOf(file)).toBe(0);
  const bytes = new Uint8Array(8);
  expect(readSync(file.number, bytes, 0, 8, 0)).toBe(0);
  writeSync(file.number, "kept");
  resizeFile(file, 6);
  expect(readSync(file.number, bytes, 0, 8, 0)).toBe(6);
  expect(Buffer.from(bytes).toString()).toBe("kept\0\0\0\0");
});

test("seals add up, and each forbids its own change", () => {
  using file = createMemfd("test");
  resizeFile(file, 10);
  sealMemfd(file, SEAL_MASK.shrink);
  sealMemfd(file, SEAL_MASK.grow);
  expect(sealsOf(file)).toBe(SEAL_MASK.shrink + SEAL_MASK.grow);
  const place = file.name;
  const denied = `Cannot resize ${place}: ftruncate on ${place} failed with EPERM (errno 1)`;
  expect(messageOf(() => resizeFile(file, 9))).toBe(denied);
  expect(messageOf(() => resizeFile(file, 11))).toBe(denied);
  expect(writeSync(file.number, "still")).toBe(5);
  sealMemfd(file, SEAL_MASK.all);
  expect(messageOf(() => writeSync(file.number, "no"))).toStartWith("EPERM");
  expect(messageOf(() => sealMemfd(file, SEAL_MASK.write))).toBe(
    `Cannot seal ${place}: fcntl on ${place} failed with EPERM (errno 1)`,
  );
});

test("a file that is no memory file has no seals, not even none", () => {
  const { readEnd, writeEnd } = makePipe();
  expect(sealsOf(readEnd)).toBeUndefined();
  readEnd[Symbol.dispose]();
  writeEnd[Symbol.dispose]();
});

test("a label that is too long for the kernel is refused by name", () => {
  const label = "x".repeat(250);
  expect(messageOf(() => createMemfd(label))).toBe(
    `Cannot make memory file "${label}": memfd_create on "${label}" failed with EINVAL (errno 22)`,
  );
});
