// Bytes at an offset, what is on the disk, and holes.

import { expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { openOrCreate, punchHole, syncData, writeBytesAt } from "../../lib/sys/index.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("an array is written at its place, and a hole gives its blocks back", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "file");
  using fd = openOrCreate(path);
  writeBytesAt(fd, new Uint8Array(64 * 1024).fill(7), 4096);
  syncData(fd);
  const before = statSync(path).blocks;
  const isPunched = punchHole(fd, { fileOffset: 8192, bytes: 32 * 1024 });
  const bytes = readFileSync(path);
  expect(bytes.byteLength).toBe(68 * 1024);
  expect([bytes[0], bytes[4096], bytes[8191], bytes[68 * 1024 - 1]]).toEqual([0, 7, 7, 7]);
  if (!isPunched) return; // This disk cannot: the bytes stay.
  expect(bytes.subarray(8192, 40 * 1024).every((byte) => byte === 0)).toBe(true);
  expect(statSync(path).blocks).toBeLessThan(before);
});
