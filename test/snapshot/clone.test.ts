// Clones of stopped raw disks on a file system with reflinks (a loop mount), and their refusals on
// one without.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeImage, startGuest, tool } from "../helpers/disk-guest.ts";
import { journalsLeft } from "../helpers/disk-world.ts";
import { recover, runProgram } from "../helpers/snapshot-faults.ts";
import { DONE, runsIn } from "../helpers/snapshot-runs.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const own = temporaryFolder();
const mounted = join(own.path, "mounted");

function mountBtrfs(): boolean {
  const image = join(own.path, "fs");
  mkdirSync(mounted);
  const steps = [
    ["truncate", "-s", "200M", image],
    ["mkfs.btrfs", "-q", image],
    ["mount", "-o", "loop", image, mounted],
  ];
  return steps.every((step) => Bun.which(step[0]!) !== null && Bun.spawnSync(step).success);
}
const hasReflinks = mountBtrfs();
afterAll(() => {
  if (hasReflinks) tool("umount", mounted);
  own[Symbol.dispose]();
});
const title = hasReflinks ? "btrfs" : "btrfs (cannot be mounted here)";

describe.skipIf(!hasReflinks)(title, () => {
  const paths = [0, 1, 2].map((index) => join(mounted, `d${index}.raw`));
  const words = paths.map((path) => `raw:${path}`);
  const runs = runsIn(mounted);
  const fill = (byte: number) => {
    for (const path of paths) writeFileSync(path, Buffer.alloc(2 ** 20, byte));
  };
  const holds = (path: string, byte: number) => readFileSync(path).every((one) => one === byte);

  beforeAll(() => fill(1));

  test("copies of one moment, and back", async () => {
    expect(await runs.create(words, "c1", { kind: "clone" })).toEqual(DONE);
    fill(2);
    expect(holds(join(mounted, "d1.c1.raw"), 1)).toBe(true);
    expect(await runs.revert(words, "c1", { kind: "clone" })).toEqual(DONE);
    expect(paths.every((path) => holds(path, 1))).toBe(true);
    expect(readdirSync(mounted).filter((name) => name.startsWith("."))).toEqual([]);
    const again = await runs.create(words, "c1", { kind: "clone" });
    expect(again.problems.join()).toContain("is there already");
  });

  test("killed at every other event: all copies or none", async () => {
    const journals = join(mounted, "journals");
    const program = { operation: "create", kind: "clone", journals, words } as const;
    const { told } = await runProgram({ ...program, snapshot: "whole" });
    const before = readdirSync(mounted).length;
    for (let killAt = told.indexOf("intent"); killAt < told.length; killAt += 2) {
      const snapshot = `k${killAt}`;
      expect((await runProgram({ ...program, snapshot, killAt })).wasKilled).toBe(true);
      await recover(journals);
      expect(journalsLeft(journals)).toEqual([]);
      const copies = readdirSync(mounted).filter((name) => name.includes(`.${snapshot}.`));
      expect([0, 3]).toContain(copies.length);
      for (const copy of copies) tool("rm", join(mounted, copy));
      expect(readdirSync(mounted).length).toBe(before);
    }
  }, 60_000);

  test("a disk that a process writes to is refused", async () => {
    const disks = [{ id: "d", path: paths[1]!, format: "raw" as const }];
    await using guest = await startGuest({
      folder: own.path,
      name: "g",
      disks,
      isRunning: true,
      arguments: ["-device", "virtio-blk-pci,drive=d"],
      machine: "q35",
    });
    expect(guest.pid).toBeGreaterThan(0);
    const { result, problems } = await runs.create(words, "c2", { kind: "clone" });
    expect([result, readdirSync(mounted).filter((name) => name.includes(".c2."))]).toEqual([
      expect.stringMatching(/refused|undone/),
      [],
    ]);
    expect(problems.join()).toContain(paths[1]!);
  });
});

test("a file system without reflinks says so, and qcow2 is not cloned", async () => {
  using folder = temporaryFolder();
  const { path } = makeImage(join(folder.path, "d.raw"), "raw");
  const runs = runsIn(folder.path);
  const { result, problems } = await runs.create([`raw:${path}`], "c1", { kind: "clone" });
  if (result === "done") return; // The temporary folder is on one that has them.
  expect(problems.join()).toContain("are not on one file system with reflinks");
  const qcow2 = makeImage(join(folder.path, "d.qcow2"), "qcow2").path;
  const other = await runs.create([`qcow2:${qcow2}`], "c1", { kind: "clone" });
  expect(other.problems.join()).toContain("a clone is for stopped raw disks");
});
