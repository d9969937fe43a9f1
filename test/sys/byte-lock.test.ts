// Locks of open files, clones and exchanged names, on the real kernel.

import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  cloneFile,
  createNewFile,
  exchangeFiles,
  isByteLocked,
  lockByte,
  openForReading,
  openForWriting,
} from "../../lib/sys/index.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("a locked byte is seen by every other open file, and free when the holder closes", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "image");
  writeFileSync(path, "x");
  const holder = openForReading(path);
  using other = openForWriting(path);
  using reader = openForReading(path);
  expect(isByteLocked(reader, 203)).toBe(false);
  expect(lockByte(holder, 203, "shared")).toBe(true);
  expect(isByteLocked(reader, 203)).toBe(true);
  expect(isByteLocked(holder, 203)).toBe(false);
  expect(isByteLocked(reader, 204)).toBe(false);
  expect(lockByte(other, 203, "exclusive")).toBe(false);
  expect(lockByte(reader, 203, "shared")).toBe(true);
  reader[Symbol.dispose]();
  holder[Symbol.dispose]();
  expect(lockByte(other, 203, "exclusive")).toBe(true);
});

test("a device has no such locks, and says so", () => {
  using zero = openForReading("/proc/self/status");
  expect(() => lockByte(zero, 100, "exclusive")).toThrow('Cannot lock "/proc/self/status"');
});

test("a file system without reflinks says no, and the target stays empty", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "image");
  writeFileSync(path, "content");
  using source = openForReading(path);
  using target = createNewFile({
    path: join(folder.path, "copy"),
    existing: "refuse",
    inputs: [],
  });
  const cloned = cloneFile(source, target.fd);
  target.commit();
  expect(readFileSync(join(folder.path, "copy"), "utf8")).toBe(cloned ? "content" : "");
});

test("two files change places, or neither moves", () => {
  using folder = temporaryFolder();
  const [one, other] = [join(folder.path, "one"), join(folder.path, "other")];
  writeFileSync(one, "1");
  writeFileSync(other, "2");
  exchangeFiles(one, other);
  expect([readFileSync(one, "utf8"), readFileSync(other, "utf8")]).toEqual(["2", "1"]);
  expect(() => exchangeFiles(one, join(folder.path, "gone"))).toThrow("ENOENT");
  expect(readFileSync(one, "utf8")).toBe("2");
});
