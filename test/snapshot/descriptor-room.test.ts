// Room for descriptors in a real QEMU: its table grows, and nothing is left in it.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeDescriptorRoom } from "../../lib/snapshot/descriptor-room.ts";
import type { Monitor } from "../../lib/snapshot/monitor.ts";
import { openMonitor } from "../../lib/snapshot/open-monitor.ts";
import { connectQmp } from "../../lib/snapshot/qmp-client.ts";
import { openNull } from "../../lib/sys/index.ts";
import { type DiskGuest, LIMITS, startGuest } from "../helpers/disk-guest.ts";
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

/** The same monitor, whose QEMU hangs at the second add-fd until that is given up. */
function hangingOnce(inner: Monitor, { pid }: DiskGuest, afterwards: () => Promise<void>): Monitor {
  let count = 0;
  return {
    name: inner.name,
    async execute(command, given, options) {
      if (command !== "add-fd" || ++count !== 2) return inner.execute(command, given, options);
      process.kill(pid, "SIGSTOP");
      try {
        return await inner.execute(command, given, { ...options, timeoutMs: 100 });
      } finally {
        process.kill(pid, "SIGCONT");
        await afterwards();
      }
    },
    release: () => inner.release(),
    close: () => inner.close(),
  };
}

test("a connection that breaks is told, and a set that QEMU keeps is taken away", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, LIMITS);
  // The test's own monitor is open: QEMU 7 keeps sets then.
  const hanging = hangingOnce(monitor, guest, () => Promise.resolve());
  const room = makeDescriptorRoom(hanging, tableOf(guest.pid));
  await expect(room).rejects.toThrow("no reply to add-fd within 100 ms");
  expect(await guest.monitor.execute("query-fdsets")).toEqual([]);
  await monitor.close();
});

test.each(["nobody", "another client"])(
  "a set went with its connection, %s has the number",
  async (who) => {
    using own = temporaryFolder();
    await using guest = await startGuest({
      folder: own.path,
      name: "g",
      disks: [],
      isRunning: true,
    });
    const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, LIMITS);
    await guest.monitor.close();
    let other: Monitor | undefined;
    const hanging = hangingOnce(monitor, guest, async () => {
      // QEMU greets the next client of a socket when it has seen the end of the one before.
      await (await connectQmp({ path: guest.qmp, name: "next", ...LIMITS })).close();
      if (who === "nobody") return;
      other = await connectQmp({ path: join(own.path, "g.own"), name: who, ...LIMITS });
      using nothing = openNull();
      const added = await other.execute("add-fd", undefined, { fd: nothing });
      expect(added).toMatchObject({ "fdset-id": 0 });
    });
    const room = makeDescriptorRoom(hanging, tableOf(guest.pid));
    await expect(room).rejects.toThrow("no reply to add-fd within 100 ms");
    const left = await (other ?? monitor).execute("query-fdsets");
    expect(left).toMatchObject(who === "nobody" ? [] : [{ "fdset-id": 0 }]);
    await other?.close();
    await monitor.close();
  },
);
