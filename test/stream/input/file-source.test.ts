// Files as sources: the same bytes as are in them, by reading and by mapping, from any offset; and
// files that become shorter while they are read.

import { describe, expect, test } from "bun:test";
import { ftruncateSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileSource } from "../../../lib/stream/input/index.ts";
import { Fd } from "../../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../../helpers/open-descriptors.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { PV64, xlPlan } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { findingLines, verifySource } from "../../helpers/verify-bytes.ts";
import { compareToItsEnd, noise } from "./compare.ts";

const MiB = 2 ** 20;
const open = (path: string) => new Fd(openSync(path, "r"), path);

function sourceOf(path: string, bytesTotal: number): FileSource {
  return new FileSource(open(path), { bytesTotal, start: 0 });
}

describe("a file", () => {
  test.each([0, 1, 4095, 4097, 70_000, 3 * MiB + 5, 20 * MiB + 1])("of %d bytes", (bytesTotal) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    withSeed(99, (random) => {
      const bytes = noise(bytesTotal, random);
      writeFileSync(path, bytes);
      const before = openDescriptors();
      for (let round = 0; round < 6; round++) {
        using source = sourceOf(path, bytesTotal);
        compareToItsEnd(source, bytes, random);
        expect(source.shrunk).toBe(false);
      }
      expect(openedSince(before)).toEqual([]);
    });
  });

  test("is read from where its descriptor stands, and offsets are those of the file", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    writeFileSync(path, "0123456789");
    using source = new FileSource(open(path), { bytesTotal: 10, start: 4 });
    expect(source.position).toBe(4);
    expect(source.take(3)).toBe(3);
    expect(source.bytes[source.at]).toBe(0x34);
    expect(source.skip(100)).toBe(3);
    expect(source.position).toBe(10);
  });
});

describe("a file that becomes shorter", () => {
  test("between its opening and the first read", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "stream");
    const { bytes } = encode(xlPlan(PV64));
    writeFileSync(path, bytes);
    using source = sourceOf(path, bytes.byteLength);
    truncateSync(path, 1000);
    const report = verifySource(source, {});
    expect(report.verdict).toBe("bad");
    expect(findingLines(report).at(-1)).toContain("the file was cut short while it was read");
  });

  test("to nothing", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "stream");
    const { bytes } = encode(xlPlan(PV64));
    writeFileSync(path, bytes);
    using source = sourceOf(path, bytes.byteLength);
    truncateSync(path, 0);
    expect(verifySource(source, {})).toMatchObject({ verdict: "unrecognised", errors: 1 });
  });

  test("before a large body is mapped", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    withSeed(3, (random) => {
      const bytes = noise(8 * MiB, random);
      writeFileSync(path, bytes);
      using source = sourceOf(path, bytes.byteLength);
      expect(source.take(100)).toBe(100);
      truncateSync(path, 2 * MiB);
      let got = 0;
      for (let piece = -1; piece !== 0; got += piece) piece = source.take(4 * MiB);
      expect(got).toBe(2 * MiB - 100);
      expect(source.shrunk).toBe(true);
    });
  });

  test("while a window of it is mapped: the next one tells", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    withSeed(4, (random) => {
      const bytes = noise(12 * MiB, random);
      writeFileSync(path, bytes);
      const writer = openSync(path, "r+");
      using writerFd = new Fd(writer, path);
      using source = sourceOf(path, bytes.byteLength);
      expect(source.take(4 * MiB)).toBe(4 * MiB);
      expect(source.bytes[source.at + 5]).toBe(bytes[5]!);
      ftruncateSync(writerFd.number, 4 * MiB + 10);
      expect(source.take(4 * MiB)).toBe(10);
      expect(source.shrunk).toBe(true);
      expect(source.take(10)).toBe(0);
    });
  });
});

test("a file that grows is read to the size it had", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  const { bytes } = encode(xlPlan(PV64));
  writeFileSync(path, bytes);
  using source = sourceOf(path, bytes.byteLength);
  writeFileSync(path, new Uint8Array(5000), { flag: "a" });
  const report = verifySource(source, {});
  expect(report).toMatchObject({ verdict: "good", trailing: null, end_offset: bytes.byteLength });
});
