// Room for descriptors in a real QEMU: its table grows, and nothing is left in it.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { makeDescriptorRoom } from "../../lib/snapshot/descriptor-room.ts";
import { openMonitor } from "../../lib/snapshot/open-monitor.ts";
import { LIMITS, startGuest } from "../helpers/disk-guest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const tableOf = (pid: number): number =>
  Number(/^FDSize:\s*([0-9]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
const openIn = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

test("the table grows when it has to, by one doubling, and no descriptor stays", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, LIMITS);
  const [open, table] = [openIn(guest.pid), tableOf(guest.pid)];
  await makeDescriptorRoom(monitor, 1);
  expect([openIn(guest.pid), tableOf(guest.pid)]).toEqual([open, table]);

  await makeDescriptorRoom(monitor, table);
  expect(tableOf(guest.pid)).toBe(2 * table);
  expect(await monitor.execute("query-fdsets")).toEqual([]);
  // The monitor keeps the last that came until it hears the next.
  expect(openIn(guest.pid)).toBeLessThanOrEqual(open + 1);
  await monitor.close();
});

test("a QEMU that may have no more descriptors is left as it was", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, LIMITS);
  const [open, table] = [openIn(guest.pid), tableOf(guest.pid)];
  Bun.spawnSync(["prlimit", "--pid", String(guest.pid), `--nofile=${open + 4}`]);
  await makeDescriptorRoom(monitor, table);
  expect(tableOf(guest.pid)).toBe(table);
  expect(await monitor.execute("query-fdsets")).toEqual([]);
  await monitor.close();
});
