// Faults at every stage of a group, done for real: a guest's QEMU dies or hangs, a name is taken,
// the disk is full, the right to write is lost. Afterwards all disks have the snapshot or none has.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { tool } from "../helpers/disk-guest.ts";
import { journalsLeft, lookAt } from "../helpers/disk-world.ts";
import { type Arena, makeArena, recover, runProgram } from "../helpers/snapshot-faults.ts";

const GROUP = { formats: ["qcow2", "qcow2"], guests: 2, hasStopped: true } as const;

/** When: before, in and after each kind of step, first and last of its kind. */
const STAGES = [
  'begin execute stage g0: disk "d0"',
  "end execute pause g1",
  "begin execute switch g0",
  "end execute switch g1",
  "begin update switch g0",
  "switched",
] as const;
const LIMIT_MS = 30_000;

async function program(arena: Arena, event: string, command: readonly string[], replyMs = 5000) {
  const greetingMs = Math.min(replyMs, 2000);
  return runProgram({
    operation: "create",
    kind: "external",
    snapshot: "s1",
    words: await arena.words(),
    journals: arena.journals,
    runAt: { event, command },
    replyMs,
    greetingMs,
  });
}

/** The disks of the guest that lives, and its state. */
const living = (arena: Arena) => lookAt(arena.folder, [arena.guests[0]!]);
const ofSnapshot = (files: readonly string[]) => files.filter((name) => name.includes(".s1."));

test.each(STAGES)(
  "QEMU of one guest is killed at: %s",
  async (event) => {
    await using arena = await makeArena(GROUP);
    await arena.guests[0]!.write("d0", 7);
    await arena.guests[1]!.write("d0", 8);
    const before = await living(arena);
    const ran = await program(arena, event, ["kill", "-9", String(arena.guests[1]!.pid)]);
    expect(ran.stderr).toBe("");
    const recovered = await recover(arena.journals);
    const after = await living(arena);
    expect(after.status).toEqual(["running"]);
    expect(journalsLeft(arena.journals)).toEqual([]);
    const files = ofSnapshot(after.files);
    const told = [ran.result, ...recovered.map(({ result }) => result)];
    if (files.length === 0) {
      expect({ told, files: after.files, tops: after.tops, nodes: after.ourNodes }).toEqual({
        told: ["undone"],
        files: before.files,
        tops: before.tops,
        nodes: [],
      });
    } else {
      expect({ told, count: files.length }).toEqual({ told: ["done"], count: 5 });
    }
    expect(await arena.guests[0]!.holds("d0", 7)).toBe(true);
  },
  LIMIT_MS,
);

test.each(STAGES)(
  "the monitor of one guest hangs from: %s",
  async (event) => {
    await using arena = await makeArena(GROUP);
    const before = await living(arena);
    const pid = String(arena.guests[1]!.pid);
    const ran = await program(arena, event, ["kill", "-STOP", pid], 300);
    expect(ran.stderr).toBe("");
    process.kill(arena.guests[1]!.pid, "SIGCONT");
    const recovered = await recover(arena.journals);
    const told = [ran.result, ...recovered.map(({ result }) => result)].join(" then ");
    expect(["done", "undone", "stuck then undone", "stuck then finished"]).toContain(told);
    const after = await lookAt(arena.folder, arena.guests);
    expect(after.status).toEqual(["running", "running"]);
    expect(journalsLeft(arena.journals)).toEqual([]);
    const isNone = told.endsWith("undone");
    expect(ofSnapshot(after.files).length).toBe(isNone ? 0 : 5);
    expect(after.ourNodes.length).toBe(isNone ? 0 : 4);
    if (isNone) expect(after.files).toEqual(before.files);
  },
  LIMIT_MS,
);

test("a name that another process takes after the check is left alone, at each disk", async () => {
  await using arena = await makeArena({ formats: ["qcow2", "qcow2"], guests: 1, hasStopped: true });
  const before = await lookAt(arena.folder, arena.guests);
  for (const name of ["g0d0.s1.qcow2", "g0d1.s1.qcow2", "stopped.s1.qcow2"]) {
    const path = join(arena.folder, name);
    const ran = await program(arena, "intent", ["sh", "-c", `printf mine > '${path}'`]);
    expect(ran.result).toBe("undone");
    expect(ran.problems[0]?.message).toContain("there is a file of that name already");
    expect(readFileSync(path, "utf8")).toBe("mine");
    tool("rm", path);
    expect(await lookAt(arena.folder, arena.guests)).toEqual(before);
    expect(journalsLeft(arena.journals)).toEqual([]);
  }
});

test("a full disk, for overlays and for the journal", async () => {
  await using arena = await makeArena({ formats: ["qcow2"], guests: 2, hasStopped: false });
  const before = await lookAt(arena.folder, arena.guests);
  const small = join(dirname(arena.folder), "small");
  mkdirSync(small);
  tool("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=100", "tmpfs", small);
  try {
    writeFileSync(join(small, "filler"), Buffer.alloc(2 * 1024 * 1024));
    const base = { operation: "create", kind: "external", snapshot: "s1" } as const;
    const words = await arena.words();
    const full = await runProgram({ ...base, words, journals: small });
    expect(full.result).toBe("refused");
    expect(full.problems[0]?.message).toContain("ENOSPC");
    tool("rm", join(small, "filler"));
    const fill = ["sh", "-c", `head -c 4M /dev/zero > '${small}/filler'`];
    const event = 'begin execute stage g1: disk "d0"';
    const run = { ...base, words, journals: arena.journals, folder: small };
    const ran = await runProgram({ ...run, runAt: { event, command: fill } });
    expect(ran.result).toBe("undone");
    expect(await lookAt(arena.folder, arena.guests)).toEqual(before);
    expect(tool("ls", "-A", small)).toBe("filler\n");
  } finally {
    tool("umount", small);
  }
});

test("the right to write is lost after the check", async () => {
  await using arena = await makeArena({ formats: ["qcow2"], guests: 2, hasStopped: false });
  const before = await lookAt(arena.folder, arena.guests);
  const overlays = join(dirname(arena.folder), "overlays");
  mkdirSync(overlays);
  tool("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", overlays);
  try {
    const ran = await runProgram({
      operation: "create",
      kind: "external",
      snapshot: "s1",
      words: await arena.words(),
      journals: arena.journals,
      folder: overlays,
      runAt: { event: "intent", command: ["mount", "-o", "remount,ro", overlays] },
    });
    expect([ran.result, ran.stderr]).toEqual(["undone", ""]);
    expect(ran.problems[0]?.message).toContain("read-only");
    expect(tool("ls", "-A", overlays)).toBe("");
  } finally {
    tool("umount", overlays);
  }
  expect(await lookAt(arena.folder, arena.guests)).toEqual(before);
});
