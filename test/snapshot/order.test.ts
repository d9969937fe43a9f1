// The promise: a write that depended on an earlier write, to any disk of the group, is never in the
// snapshot without it. A writer counts on disk after disk; no disk may be ahead of one before it.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { type DiskGuest, makeImage, startGuest } from "../helpers/disk-guest.ts";
import { counterIn, startWriter } from "../helpers/ordered-writer.ts";
import { DONE, runsIn } from "../helpers/snapshot-runs.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LIMIT_MS = 60_000;
const DISKS = ["d0", "d1", "d2", "d3"];
const ROUNDS = 8;
const NAIVE_ROUNDS_MAX = 100;

const isInOrder = (counters: readonly number[]): boolean =>
  counters.every((counter, index) => index === 0 || counter <= counters[index - 1]!);

async function writing(format: "qcow2" | "raw") {
  const own = temporaryFolder();
  const disks = DISKS.map((id) => ({
    ...makeImage(join(own.path, `${id}.img`), format, "1M"),
    id,
  }));
  const guest = await startGuest({ folder: own.path, name: "g", disks, isRunning: true });
  const writer = await startWriter(guest, own.path);
  return {
    folder: own.path,
    guest,
    writer,
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
      await guest[Symbol.asyncDispose]();
      own[Symbol.dispose]();
    },
  };
}

interface Block {
  readonly device: string;
  readonly inserted: { readonly file: string; readonly drv: string };
}
const tops = async (guest: DiskGuest): Promise<Block["inserted"][]> =>
  ((await guest.monitor.execute("query-block")) as Block[]).map(({ inserted }) => inserted);

test(
  "an external group keeps the order under load",
  async () => {
    await using arena = await writing("raw");
    const { guest, writer, folder } = arena;
    for (let round = 0; round < ROUNDS; round++) {
      await writer.ask();
      await Bun.sleep(20);
      const before = await tops(guest);
      expect(await runsIn(folder).create([`qmp:${guest.qmp}`], `s${round}`)).toEqual(DONE);
      const counters = before.map(({ file, drv }) => counterIn(file, drv));
      expect([round, counters, isInOrder(counters)]).toEqual([round, counters, true]);
      expect(counters[0]).toBeGreaterThan(0);
      expect((await writer.ask()).rounds).toBeGreaterThan(0);
    }
  },
  LIMIT_MS,
);

test(
  "an internal group keeps the order under load",
  async () => {
    await using arena = await writing("qcow2");
    const { guest, folder } = arena;
    for (let round = 0; round < ROUNDS; round++) {
      const name = `i${round}`;
      const runs = runsIn(folder);
      expect(await runs.create([`qmp:${guest.qmp}`], name, { kind: "internal" })).toEqual(DONE);
      const counters = guest.disks.map(({ path }) => counterIn(path, "qcow2", name));
      expect([round, counters, isInOrder(counters)]).toEqual([round, counters, true]);
    }
  },
  LIMIT_MS,
);

test(
  "the same snapshots one after another break it: the writer above would show it",
  async () => {
    await using arena = await writing("raw");
    const { guest, folder } = arena;
    for (let round = 0; round < NAIVE_ROUNDS_MAX; round++) {
      const before = await tops(guest);
      for (const device of DISKS) {
        const file = { "snapshot-file": join(folder, `${device}.${round}`), format: "qcow2" };
        await guest.monitor.execute("blockdev-snapshot-sync", { device, ...file });
      }
      if (!isInOrder(before.map(({ file, drv }) => counterIn(file, drv)))) return;
    }
    throw new Error(`${NAIVE_ROUNDS_MAX} rounds one after another were all in order`);
  },
  LIMIT_MS,
);
