// qcow2 headers: overlays that QEMU finds good, and images that lie or are cut short.

import { describe, expect, test } from "bun:test";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RefusedError } from "../../lib/base/index.ts";
import { createOverlay } from "../../lib/snapshot/overlay-file.ts";
import { holdsData, readIfQcow2, readQcow2 } from "../../lib/snapshot/qcow2-image.ts";
import { makeImage, tool } from "../helpers/disk-guest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const MARK = { group: "g", snapshot: "s", made: "2026-01-01T00:00:00Z", stem: "base" };
const OWNER = { uid: 0, gid: 0, mode: 0o640 };

function overlayOn(folder: string, size: string) {
  const { path: base } = makeImage(join(folder, "base.qcow2"), "qcow2", size);
  const path = join(folder, "o.qcow2");
  const { virtualBytes } = readQcow2(base);
  const backing = { backingFile: base, backingFormat: "qcow2" };
  createOverlay({ path, virtualBytes, ...backing, mark: MARK, owner: OWNER });
  return { base, path, virtualBytes };
}

describe("an overlay of ours", () => {
  test.each(["0", "512", "16M", "512M", "513M", "4T", "9T"])("of a disk of %s", (size) => {
    using own = temporaryFolder();
    const { base, path, virtualBytes } = overlayOn(own.path, size);
    expect(tool("qemu-img", "check", path)).toContain("No errors were found");
    const info = JSON.parse(tool("qemu-img", "info", "--output=json", path)) as object;
    expect(info).toMatchObject({
      "virtual-size": virtualBytes,
      "full-backing-filename": base,
      "backing-filename-format": "qcow2",
    });
    const image = readQcow2(path);
    expect(image).toMatchObject({ virtualBytes, backingFile: base, mark: MARK, snapshots: [] });
    expect(holdsData(path)).toBe(false);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    if (virtualBytes === 0) return;
    tool("qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 512", path);
    expect(holdsData(path)).toBe(true);
    tool("qemu-img", "snapshot", "-c", "one", path);
    tool("qemu-img", "rebase", "-u", "-b", base, "-F", "qcow2", path);
    expect(readQcow2(path)).toMatchObject({ mark: MARK, snapshots: [{ id: "1", name: "one" }] });
  });

  test("is never written over a file that is there", () => {
    using own = temporaryFolder();
    const { base, path } = overlayOn(own.path, "1M");
    writeFileSync(path, "mine");
    const again = { path, virtualBytes: 512, backingFile: base, backingFormat: "qcow2" };
    expect(() => createOverlay({ ...again, mark: MARK, owner: OWNER })).toThrow(RefusedError);
    expect(readFileSync(path, "utf8")).toBe("mine");
  });
});

test("cut at every length of its header: refused, in words", () => {
  using own = temporaryFolder();
  const { path } = overlayOn(own.path, "16M");
  const whole = readFileSync(path);
  for (let length = 4; length < 112; length++) {
    writeFileSync(path, whole.subarray(0, length));
    expect(() => readQcow2(path)).toThrow(RefusedError);
  }
  truncateSync(path, 3);
  expect(readIfQcow2(path)).toBeUndefined();
});

/** Offset, bytes, and what is told. */
test.each([
  [4, [0, 0, 0, 9], "version"],
  [8, [0xff, 0, 0, 0, 0, 0, 0, 0], "backing_file_offset"],
  [16, [0xff, 0xff, 0xff, 0xff], "backing_file_size"],
  [20, [0, 0, 0, 63], "cluster_bits"],
  [24, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "size"],
  [36, [0xff, 0xff, 0xff, 0xff], "l1_size"],
  [60, [0xff, 0xff, 0xff, 0xff], "nb_snapshots"],
  [60, [0, 0, 0, 9], "snapshot table is at offset 0x0"],
  [108, [0xff, 0xff, 0xff, 0xff], "length"],
] as const)("a header that lies at %d", (at, bytes, told) => {
  using own = temporaryFolder();
  const { path } = overlayOn(own.path, "16M");
  const image = readFileSync(path);
  image.set(bytes, at);
  writeFileSync(path, image);
  expect(() => readQcow2(path)).toThrow(told);
});

test("marks that are not ours, or not JSON, are none", () => {
  using own = temporaryFolder();
  const { path } = overlayOn(own.path, "16M");
  const image = readFileSync(path);
  const at = image.indexOf('{"group"');
  image[at] = 0x5b;
  writeFileSync(path, image);
  expect(readQcow2(path).mark).toBeUndefined();
});
