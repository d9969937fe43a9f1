// kill -9 of agent while it deletes or reverts: recover goes forward where there is no way back,
// and the data stays what it has to be.

import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { imageHolds, makeImage, startGuest, tool } from "../helpers/disk-guest.ts";
import { journalsLeft } from "../helpers/disk-world.ts";
import { recover, runProgram } from "../helpers/snapshot-faults.ts";
import { DONE, runsIn } from "../helpers/snapshot-runs.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LIMIT_MS = 60_000;
const DISKS = [0, 1, 2];

const KILLS = 6;

/**
 * Events from the journal's first record to before its last, evenly spread, the edges among them.
 */
function from(told: readonly string[]): number[] {
  const [first, last] = [told.indexOf("intent"), told.length - 2];
  const step = Math.max(1, Math.floor((last - first) / KILLS));
  const inside = (index: number) => index >= first && index < last;
  const points = [...told.keys()].filter((index) => inside(index) && (index - first) % step === 0);
  return [...points, last];
}

test(
  "deletion of internal snapshots of stopped disks",
  async () => {
    using own = temporaryFolder();
    const runs = runsIn(own.path);
    const paths = DISKS.map((index) => makeImage(join(own.path, `d${index}.qcow2`), "qcow2").path);
    const words = paths.map((path) => `qcow2:${path}`);
    const journals = join(own.path, "journals");
    const program = {
      operation: "delete",
      kind: "internal",
      snapshot: "i1",
      journals,
      words,
    } as const;
    expect(await runs.create(words, "i1", { kind: "internal" })).toEqual(DONE);
    const { told, result } = await runProgram(program);
    expect(result).toBe("done");
    for (const killAt of from(told)) {
      expect(await runs.create(words, "i1", { kind: "internal" })).toEqual(DONE);
      expect((await runProgram({ ...program, killAt })).wasKilled).toBe(true);
      const [recovered] = await recover(journals);
      expect([killAt, recovered?.result]).toEqual([killAt, "finished"]);
      expect(journalsLeft(journals)).toEqual([]);
      for (const path of paths) expect(tool("qemu-img", "snapshot", "-l", path)).toBe("");
    }
  },
  LIMIT_MS,
);

test(
  "deletion of external snapshots under a running guest",
  async () => {
    using own = temporaryFolder();
    const disks = DISKS.map((index) => ({
      ...makeImage(join(own.path, `d${index}.qcow2`), "qcow2"),
      id: `d${index}`,
    }));
    await using guest = await startGuest({ folder: own.path, name: "g", disks, isRunning: true });
    const runs = runsIn(own.path);
    const words = [`qmp:${guest.qmp}`];
    const journals = join(own.path, "journals");
    const program = {
      operation: "delete",
      kind: "external",
      snapshot: "s1",
      journals,
      words,
    } as const;
    expect(await runs.create(words, "s1")).toEqual(DONE);
    const { told, result } = await runProgram(program);
    expect(result).toBe("done");
    for (const [round, killAt] of from(told).entries()) {
      for (const { id } of disks) await guest.write(id, round + 1);
      expect(await runs.create(words, "s1")).toEqual(DONE);
      for (const { id } of disks) await guest.write(id, round + 2, 65536);
      expect((await runProgram({ ...program, killAt })).wasKilled).toBe(true);
      const [recovered] = await recover(journals);
      expect([killAt, recovered?.result]).toEqual([killAt, "finished"]);
      expect(journalsLeft(journals)).toEqual([]);
      expect(readdirSync(own.path).filter((name) => name.includes(".s1."))).toEqual([]);
      expect(await guest.status()).toBe("running");
      for (const { id } of disks) {
        expect(await guest.holds(id, round + 1)).toBe(true);
        expect(await guest.holds(id, round + 2, 65536)).toBe(true);
      }
    }
  },
  LIMIT_MS,
);

test.each(["external", "internal"] as const)(
  "revert of %s snapshots",
  async (kind) => {
    using own = temporaryFolder();
    const runs = runsIn(own.path);
    const bases = DISKS.map((index) => makeImage(join(own.path, `d${index}.qcow2`), "qcow2").path);
    for (const path of bases) tool("qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 64k", path);
    expect(
      await runs.create(
        bases.map((path) => `qcow2:${path}`),
        "s1",
        { kind },
      ),
    ).toEqual(DONE);
    const tops =
      kind === "internal" ? bases : bases.map((path) => path.replace(".qcow2", ".s1.qcow2"));
    const words = tops.map((path) => `qcow2:${path}`);
    const journals = join(own.path, "journals");
    const program = { operation: "revert", kind, snapshot: "s1", journals, words } as const;
    const { told, result } = await runProgram(program);
    expect(result).toBe("done");
    const results = new Set<string | undefined>();
    for (const killAt of from(told)) {
      for (const path of tops) tool("qemu-io", "-f", "qcow2", "-c", "write -q -P 2 0 64k", path);
      expect((await runProgram({ ...program, killAt })).wasKilled).toBe(true);
      const [recovered] = await recover(journals);
      results.add(recovered?.result);
      expect(journalsLeft(journals)).toEqual([]);
      expect(readdirSync(own.path).filter((name) => name.startsWith("."))).toEqual([]);
      const isBack = recovered?.result !== "undone";
      for (const path of tops) {
        expect(existsSync(path)).toBe(true);
        expect([killAt, imageHolds(path, "qcow2", isBack ? 1 : 2)]).toEqual([killAt, true]);
      }
    }
    expect([...results].toSorted()).toEqual(
      kind === "internal" ? ["finished"] : ["finished", "undone"],
    );
  },
  LIMIT_MS,
);
