// kill -9 of agent at its events, and of a guest's QEMU: afterwards all disks have the snapshot or
// none has, nothing is left over, guests run, and recover says what it did.

import { expect, test } from "bun:test";
import { killAndRecover, makeArena, runProgram } from "../helpers/snapshot-faults.ts";

const KILLS = 20;

/** Events from the journal's first record on, where something can be left behind: evenly spread. */
async function killPoints(kind: "external" | "internal"): Promise<number[]> {
  await using arena = await makeArena({ formats: ["qcow2"], guests: 2, hasStopped: true });
  const program = {
    operation: "create",
    kind,
    snapshot: "whole",
    journals: arena.journals,
  } as const;
  const { told, result } = await runProgram({ ...program, words: await arena.words() });
  expect(result).toBe("done");
  const first = told.indexOf("intent");
  const every = Array.from({ length: told.length - first }, (_, index) => first + index);
  return every.filter((_, index) => index % Math.ceil(every.length / KILLS) === 0);
}

test.each(["external", "internal"] as const)(
  "agent killed in the middle of an %s group",
  async (kind) => {
    const points = await killPoints(kind);
    await using arena = await makeArena({ formats: ["qcow2"], guests: 2, hasStopped: true });
    for (const [index, guest] of arena.guests.entries()) await guest.write("d0", index + 1);
    const verdicts: string[] = [];
    for (const killAt of points) {
      const snapshot = `s${killAt}`;
      const { verdict, recovered, ran } = await killAndRecover(arena, {
        operation: "create",
        kind,
        snapshot,
        killAt,
      });
      expect([killAt, ran.wasKilled, ran.stderr]).toEqual([killAt, true, ""]);
      expect([killAt, verdict]).toEqual([killAt, expect.stringMatching(/^(all|none)$/)]);
      for (const { result, actions } of recovered) {
        expect(["finished", "undone", "nothing"]).toContain(result);
        expect(actions.length).toBeGreaterThan(0);
      }
      verdicts.push(verdict);
    }
    expect(verdicts).toContain("none");
    expect(verdicts).toContain("all");
    for (const [index, guest] of arena.guests.entries()) {
      expect(await guest.holds("d0", index + 1)).toBe(true);
    }
  },
  60_000,
);
