// Guests of libxl that are held and go on, as far as it goes without Xen: a real QEMU, and an "xl"
// that does as the real one does.

import { expect, test } from "bun:test";
import { goOn } from "../../lib/snapshot/go-on.ts";
import { openMonitor } from "../../lib/snapshot/open-monitor.ts";
import { pause } from "../../lib/snapshot/pause.ts";
import { SnapshotRefusal } from "../../lib/snapshot/refusal.ts";
import { unpauseDomain } from "../../lib/snapshot/xl-toolstack.ts";
import { LIMITS, startGuest } from "../helpers/disk-guest.ts";
import { stageXl } from "../helpers/fake-xl.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const emulatorAt = (path: string) => ({
  name: "hvm40",
  address: { kind: "libxl" as const, domid: 7, path },
  guest_agent: null,
  was_running: true,
  pauses: true,
  memory: null,
  disks: [],
});

test("an HVM guest goes on: xl has the monitor while it unpauses, then we again", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  using xl = stageXl(own.path, guest.qmp);
  const emulator = emulatorAt(guest.qmp);
  const monitor = await openMonitor(emulator.address, LIMITS);
  await pause({ emulator, monitor, limits: LIMITS }, undefined);
  expect(xl.state()).toBe("--p---");
  await goOn({ emulator, monitor, limits: LIMITS });
  expect(xl.state()).toBe("-b----");
  expect(await monitor.execute("query-status")).toMatchObject({ status: "running" });
  await monitor.close();
});

test("a guest that stays paused, or is not paused, although xl ends with 0 is told", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  using xl = stageXl(own.path, guest.qmp);
  const emulator = emulatorAt(guest.qmp);
  const other = await openMonitor(emulator.address, LIMITS); // It keeps the monitor from xl.
  await pause({ emulator, monitor: undefined, limits: LIMITS }, undefined);
  const going = goOn({ emulator, monitor: undefined, limits: LIMITS });
  await expect(going).rejects.toThrow(
    "domain 7 is still paused after xl unpause: libxl: error: Domain 7",
  );
  expect(xl.state()).toBe("--p---");
  await other.close();
  await goOn({ emulator, monitor: undefined, limits: LIMITS });
  process.env["QMP_OF_XL"] = "ignored";
  const pausing = pause({ emulator, monitor: undefined, limits: LIMITS }, undefined);
  await expect(pausing).rejects.toThrow("domain 7 is still running after xl pause");
});

test.each([
  [
    "mute after resume",
    "xl list ended with 1: xencall: error: Could not obtain handle on privileged command" +
      " interface: xl unpause 7",
    "--p---",
  ],
  [
    "no resume",
    "domain 7 is left suspended: xl resume ended with 1: command not implemented:" +
      " xl destroy 7, and start it again",
    "---s--",
  ],
  [
    "ignored",
    "domain 7 is still suspended after xl resume: xl destroy 7, and start it again",
    "---s--",
  ],
])("a suspended guest is to be destroyed only if it stays so: %s", async (how, told, state) => {
  using own = temporaryFolder();
  using xl = stageXl(own.path, how);
  xl.become("---s--");
  const failure: unknown = await unpauseDomain(7).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SnapshotRefusal);
  expect((failure as SnapshotRefusal).message).toBe(told);
  expect(xl.state()).toBe(state);
});
