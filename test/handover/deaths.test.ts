// The old program, the new one and the keeper killed at each of their wake-ups in a handover.
// Whoever is left with the state serves: of what clients were answered nothing is lost, and only
// connections that the dead one had touched may be closed.

import { expect, test } from "bun:test";
import { badEcho } from "../helpers/echo-binary.ts";
import { EchoLoad } from "../helpers/echo-load.ts";
import { EchoProcess } from "../helpers/echo-process.ts";

const CLIENTS = 8;
const TIMEOUT_MS = 60_000;
const ORDER = { prepareMs: 5000, pauseMs: 1000 } as const;
/** Wake-ups, by role; a later one than there are kills nobody, and the update succeeds. */
const WAKE_UPS = {
  promote: { old: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], new: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
  in_place: { old: [2, 5, 8, 11, 14], new: [1, 3, 5, 7, 9], keeper: [1, 2, 3, 4, 5, 6] },
} as const;

const rows = Object.entries(WAKE_UPS).flatMap(([way, roles]) =>
  Object.entries(roles).flatMap(([role, counts]) =>
    counts.map((count: number) => [way as keyof typeof WAKE_UPS, role, count] as const),
  ),
);

test.each(rows)(
  "%s, the %s process killed at wake-up %d",
  async (way, role, count) => {
    await using server = await new EchoProcess().start(
      { ECHO_DIES: `${role} ${count}` },
      undefined,
    );
    const load = await EchoLoad.start(server.socket, CLIENTS, count);
    const end = await server.update({ ...ORDER, way, binary: badEcho(server.folder, "new") });
    const before = load.answered;
    await server.isServed();
    await server.settledPids(1);
    await load.stop(5000); // All of them see the end, if it has ended.
    expect(load.mistakes({ mayClose: true })).toEqual([]);
    // Now, for the last wake-up, that of the old program's end, comes to one that serves already.
    if (!(await server.isServed())) {
      // Only the old one had everything, or the new one had taken it over and the old one has left:
      // the service manager's turn.
      if (role !== "old") expect([role, end.kind]).toEqual(["new", "updated"]);
      return;
    }
    expect(server.pids().length).toBe(1);
    // An update that was refused before anything stopped, or that went well, closes nothing.
    if (end.kind === "failed") expect(load.mistakes({ mayClose: false })).toEqual([]);
    const isAnybodyLeft = load.clients.some(({ isClosed }) => !isClosed);
    if (isAnybodyLeft) expect(load.answered).toBeGreaterThan(before);
    // Whoever it is, new clients are served.
    const late = await EchoLoad.start(server.socket, 1, 1);
    await Bun.sleep(50);
    await late.stop(5000);
    expect(late.mistakes({ mayClose: false })).toEqual([]);
    expect(late.answered).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
