// Guests that stood still go on: after a good group, after a cancelled one, and for whoever
// recovers.
//
// In the opposite order of pausing: QEMU first, then the processors of a guest of libxl, and the
// guest agent last, for it is a program in the guest and hears nothing while the guest stands.
// Whatever fails, the rest is done all the same: a guest whose QEMU does not answer may run again,
// and one that runs may be thawed. What could not be done is told with the way to do it by hand.
// All of it looks before it acts, and may be done again.

import { Bug } from "../base/index.ts";
import { queryStatus } from "./block-facts.ts";
import { isGone, isLost, type Monitor } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import { domainOf, FREEZE_MS, type Paused, withAgent } from "./pause.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { domainState, unpauseDomain } from "./xl-toolstack.ts";

/**
 * Lets the guest go on, if it was running before and is paused now. Throws SnapshotRefusal with all
 * that could not be done, the first first; a guest that ended needs nothing more.
 */
export async function goOn(paused: Paused): Promise<void> {
  const { emulator, monitor, limits } = paused;
  if (!emulator.was_running) return;
  const [domid, agent] = [domainOf(emulator), emulator.guest_agent];
  const parts = [() => letQemuGoOn(monitor)];
  if (emulator.pauses && domid !== undefined) {
    // As in saveAndPause: xl unpause talks to QEMU as well.
    parts.push(async () => monitor?.release());
    parts.push(() => unpauseDomain(domid));
  }
  if (emulator.pauses && agent !== null) parts.push(() => thaw(agent, limits));
  try {
    await eachInAnyCase(parts);
  } catch (error) {
    if (error instanceof Bug || !(await hasEnded(paused))) throw error;
  }
}

/** Does each, whatever became of those before it. Throws one SnapshotRefusal of what all said. */
export async function eachInAnyCase(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0) return;
  const bug = failures.find((error) => error instanceof Bug);
  if (bug !== undefined) throw bug;
  const said = new Set(failures.map(wordsOf)); // A broken connection says the same each time.
  throw new SnapshotRefusal([...said].join("; "), { cause: failures[0] });
}

async function letQemuGoOn(monitor: Monitor | undefined): Promise<void> {
  if (monitor === undefined) return;
  let way = "if it is paused, send it cont"; // As long as it was not asked.
  try {
    const status = await twiceIfLost(() => queryStatus(monitor));
    if (status !== "paused" && status !== "postmigrate") return;
    way = "send it cont";
    await twiceIfLost(() => monitor.execute("cont"));
  } catch (error) {
    if (!isGone(error)) throw byHand(error, way);
  }
}

async function thaw(path: string, limits: MonitorLimits): Promise<void> {
  try {
    await twiceIfLost(() =>
      withAgent(path, limits, async (agent) => {
        const status = await agent.execute("guest-fsfreeze-status");
        if (status !== "frozen") return;
        await agent.execute("guest-fsfreeze-thaw", undefined, { timeoutMs: FREEZE_MS });
      }),
    );
  } catch (error) {
    throw byHand(error, "the guest may be frozen, send it guest-fsfreeze-thaw");
  }
}

/** Only for what may be done twice. The second goes over a new connection. */
async function twiceIfLost<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!isLost(error)) throw error;
    return await run();
  }
}

/** A guest of libxl may live without its QEMU; others end with it. */
async function hasEnded({ emulator, monitor }: Paused): Promise<boolean> {
  const domid = domainOf(emulator);
  try {
    if (domid !== undefined) {
      const state = await domainState(domid);
      return state === undefined || state === "ended";
    }
    if (monitor === undefined) return true;
    await twiceIfLost(() => monitor.execute("query-version"));
    return false;
  } catch (error) {
    if (error instanceof Bug) throw error;
    return isGone(error);
  }
}

const wordsOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

function byHand(error: unknown, way: string): unknown {
  if (error instanceof Bug) return error;
  return new SnapshotRefusal(`${wordsOf(error)}: ${way}`, { cause: error });
}
