// Groups that succeed: data written before is what a revert brings back, on running and stopped
// disks, qcow2 and raw, one to 32 disks on one to four guests.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { imageHolds, makeImage, startGuest, tool } from "../helpers/disk-guest.ts";
import { lookAt } from "../helpers/disk-world.ts";
import { makeArena } from "../helpers/snapshot-faults.ts";
import { DONE, runsIn } from "../helpers/snapshot-runs.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LIMIT_MS = 30_000;

const GROUPS = [
  [1, 1, "qcow2"],
  [1, 3, "raw"],
  [2, 4, "qcow2"],
  [4, 8, "qcow2"],
  [1, 32, "qcow2"],
] as const;

test.each(GROUPS)(
  "%d guests with %d %s disks each: external, and back",
  async (guests, disks, format) => {
    const formats = Array.from({ length: disks }, () => format);
    await using arena = await makeArena({ formats, guests, hasStopped: false });
    const runs = runsIn(arena.folder);
    for (const guest of arena.guests) {
      for (const [index, { id }] of guest.disks.entries()) await guest.write(id, index + 1);
    }
    const words = arena.guests.map(({ qmp }) => `qmp:${qmp}`);
    expect(await runs.create(words, "s1")).toEqual(DONE);
    const world = await lookAt(arena.folder, arena.guests);
    expect(new Set(world.status)).toEqual(new Set(["running"]));
    const tops = Object.values(world.tops);
    expect(tops.every((path) => path.endsWith(".s1.qcow2"))).toBe(true);
    for (const guest of arena.guests) {
      for (const { id } of guest.disks) await guest.write(id, 99);
      await guest.quit();
    }
    expect(tops.every((path) => imageHolds(path, "qcow2", 99))).toBe(true);
    expect(
      await runs.revert(
        tops.map((path) => `qcow2:${path}`),
        "s1",
      ),
    ).toEqual(DONE);
    for (const [index, path] of tops.entries()) {
      expect(imageHolds(path, "qcow2", (index % disks) + 1)).toBe(true);
    }
    const left = readdirSync(arena.folder).filter((name) => name.startsWith("."));
    expect(left).toEqual([]);
  },
  LIMIT_MS,
);

test("internal: running, deleted by id, stopped, and back", async () => {
  await using arena = await makeArena({ formats: ["qcow2", "qcow2"], guests: 2, hasStopped: true });
  const runs = runsIn(arena.folder);
  const words = await arena.words();
  const [first] = arena.guests;
  await first!.write("d1", 3);
  expect(await runs.create(words, "i1", { kind: "internal" })).toEqual(DONE);
  await first!.write("d1", 4);
  expect(await runs.create(words, "i2", { kind: "internal" })).toEqual(DONE);
  expect(await runs.delete(words, "i2", { kind: "internal" })).toEqual(DONE);
  const { internal } = await lookAt(arena.folder, arena.guests);
  expect(Object.values(internal)).toEqual(Array.from({ length: 5 }, () => ["i1"]));
  for (const guest of arena.guests) await guest.quit();
  const stopped = Object.keys(internal).map((name) => `qcow2:${join(arena.folder, name)}`);
  const path = join(arena.folder, "g0d1.qcow2");
  expect(imageHolds(path, "qcow2", 4)).toBe(true);
  expect(await runs.revert(stopped, "i1", { kind: "internal" })).toEqual(DONE);
  expect(imageHolds(path, "qcow2", 3)).toBe(true);
  expect(tool("qemu-img", "check", "-q", path)).toBe("");
});

test("delete of external snapshots under a running guest: middle, top, and by stream", async () => {
  await using arena = await makeArena({ formats: ["qcow2", "raw"], guests: 2, hasStopped: true });
  const runs = runsIn(arena.folder);
  const words = arena.guests.map(({ qmp }) => `qmp:${qmp}`);
  for (const [index, snapshot] of ["s1", "s2", "s3"].entries()) {
    for (const guest of arena.guests) await guest.write("d0", index + 1, index * 65536);
    expect(await runs.create(words, snapshot)).toEqual(DONE);
  }
  const [guest] = arena.guests;
  await guest!.write("d0", 9, 3 * 65536);
  const holds = async () =>
    (await guest!.holds("d0", 1)) &&
    (await guest!.holds("d0", 2, 65536)) &&
    (await guest!.holds("d0", 3, 2 * 65536)) &&
    guest!.holds("d0", 9, 3 * 65536);
  for (const [snapshot, merge] of [
    ["s2", "commit"],
    ["s3", "commit"],
    ["s1", "stream"],
  ] as const) {
    expect(await runs.delete(words, snapshot, { merge })).toEqual(DONE);
    expect(await holds()).toBe(true);
    expect(await guest!.status()).toBe("running");
  }
  const { files, tops } = await lookAt(arena.folder, arena.guests);
  expect(files.filter((name) => name.includes(".s2.") || name.includes(".s3."))).toEqual([]);
  expect(Object.values(tops).every((path) => path.endsWith(".s1.qcow2"))).toBe(true);
  const { problems } = await runs.delete(words, "s1");
  expect(problems.join()).toContain('has no external snapshot "s1"');
});

test("delete is refused where one disk has no such snapshot, or others would change", async () => {
  using own = temporaryFolder();
  const runs = runsIn(own.path);
  const disks = ["a", "b"].map((id) => makeImage(join(own.path, `${id}.qcow2`), "qcow2").path);
  const words = disks.map((path) => `qcow2:${path}`);
  expect(await runs.create(words.slice(0, 1), "i1", { kind: "internal" })).toEqual(DONE);
  const missing = await runs.delete(words, "i1", { kind: "internal" });
  expect(missing).toEqual({ result: "refused", problems: [expect.stringContaining("b.qcow2")] });
  expect(tool("qemu-img", "snapshot", "-l", disks[0]!)).toContain("i1");
  expect(await runs.create(words, "s1")).toEqual(DONE);
  const top = join(own.path, "a.s1.qcow2");
  const other = join(own.path, "other.qcow2");
  tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", disks[0]!, "-F", "qcow2", other);
  const shared = await runs.delete([`qcow2:${top}`], "s1");
  expect(shared.problems.join()).toContain(`"${other}" stands on "${disks[0]}"`);
  rmSync(other);
  tool("qemu-img", "snapshot", "-c", "inside", top);
  const inside = await runs.delete([`qcow2:${top}`], "s1");
  expect(inside.problems.join()).toContain('has the internal snapshots "inside"');
  expect(existsSync(top)).toBe(true);
});

test("several internal snapshots of one name: only with an id", async () => {
  using own = temporaryFolder();
  const runs = runsIn(own.path);
  const { path } = makeImage(join(own.path, "d.qcow2"), "qcow2");
  tool("qemu-img", "snapshot", "-c", "twice", path);
  tool("qemu-img", "snapshot", "-c", "twice", path);
  const words = [`qcow2:${path}`];
  const { problems } = await runs.delete(words, "twice", { kind: "internal" });
  expect(problems.join()).toContain("(ids 1, 2): give --id");
  expect(await runs.delete(words, "twice", { kind: "internal", id: "2" })).toEqual(DONE);
  expect(tool("qemu-img", "snapshot", "-l", path)).toMatch(/\n1 +twice/);
});

describe("files in the way", () => {
  test("--replace takes the place of a file, not where the group is refused", async () => {
    using own = temporaryFolder();
    const runs = runsIn(own.path);
    const disks = ["a", "b"].map((id) => makeImage(join(own.path, `${id}.qcow2`), "qcow2").path);
    const words = disks.map((path) => `qcow2:${path}`);
    const target = join(own.path, "a.s1.qcow2");
    writeFileSync(target, "old");
    const [folder] = ["/proc/self/nowhere"];
    const failed = await runs.create(words, "s1", { replace: true, folder });
    expect(failed.result).toBe("refused");
    expect(readFileSync(target, "utf8")).toBe("old");
    expect(await runs.create(words, "s1", { replace: true })).toEqual(DONE);
    expect(tool("qemu-img", "info", target)).toContain("backing file");
    expect(readdirSync(own.path).filter((name) => name.includes("replaced"))).toEqual([]);
  });

  test("--use-existing takes an overlay that was made by hand", async () => {
    using own = temporaryFolder();
    const disks = [{ ...makeImage(join(own.path, "d.raw"), "raw"), id: "d" }];
    await using guest = await startGuest({ folder: own.path, name: "g", disks, isRunning: true });
    const target = join(own.path, "d.s1.qcow2");
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", disks[0]!.path, "-F", "raw", target);
    const runs = runsIn(own.path);
    expect(await runs.create([`qmp:${guest.qmp}`], "s1", { useExisting: true })).toEqual(DONE);
    await guest.write("d", 5);
    expect(imageHolds(disks[0]!.path, "raw", 0)).toBe(true);
  });
});

test("memory and disks of one moment: QEMU loads them together", async () => {
  const machine = ["-m", "32", "-device", "virtio-rng-pci"];
  using own = temporaryFolder();
  const disks = [{ ...makeImage(join(own.path, "d.qcow2"), "qcow2"), id: "d" }];
  const options = { folder: own.path, disks, isRunning: true, machine: "q35", arguments: machine };
  const file = join(own.path, "g.m1.memory");
  {
    await using guest = await startGuest({ ...options, name: "g" });
    await guest.write("d", 6);
    const runs = runsIn(own.path);
    expect(await runs.create([`qmp:${guest.qmp}`], "m1", { memory: own.path })).toEqual(DONE);
    expect(await guest.status()).toBe("running");
    expect(await runs.create([`qmp:${guest.qmp}`], "m1", { memory: own.path })).toMatchObject({
      result: "refused",
    });
  }
  const incoming = [...machine, "-incoming", `exec:cat '${file}'`];
  await using again = await startGuest({ ...options, name: "again", arguments: incoming });
  for (let tries = 0; (await again.status()) !== "running" && tries < 500; tries++) {
    await Bun.sleep(10);
  }
  expect(await again.status()).toBe("running");
  expect(await again.holds("d", 6)).toBe(true);
});
