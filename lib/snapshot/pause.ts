// Guests that stand still while several of them switch: frozen by their agent where there is one,
// then stopped. How they go on afterwards is in go-on.ts.
//
// The guest agent makes the guest's file systems clean on disk. It does not hold back what writes
// to a disk directly, so the guest is stopped as well: only then is the order of writes kept over
// several guests. QEMU stops a guest that it runs; the processors of a guest of libxl belong to the
// hypervisor, and xl pauses them.

import * as v from "valibot";
import { queryStatus } from "./block-facts.ts";
import type { PlannedEmulator } from "./group-plan.ts";
import { isRefused, type Monitor, MonitorError } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import { connectGuestAgent } from "./qmp-client.ts";
import type { SavedMemory } from "./saved-memory.ts";
import { pauseDomain } from "./xl-toolstack.ts";

/** A guest's file systems may have much to write first; Windows gives up at 10 s by itself. */
export const FREEZE_MS = 15_000;

export interface Paused {
  readonly emulator: PlannedEmulator;
  /** undefined: its QEMU is gone. */
  readonly monitor: Monitor | undefined;
  readonly limits: MonitorLimits;
}

/** Why the guest agent cannot be used, or undefined. */
export async function problemOfAgent({ emulator, limits }: Paused): Promise<string | undefined> {
  if (!emulator.pauses || emulator.guest_agent === null) return undefined;
  try {
    await withAgent(emulator.guest_agent, limits, (agent) =>
      agent.execute("guest-fsfreeze-status"),
    );
    return undefined;
  } catch (error) {
    if (error instanceof MonitorError) return error.message;
    throw error;
  }
}

/** `saved`: the guest of libxl is saved at this moment. */
export async function pause(
  { emulator, monitor, limits }: Paused,
  saved: SavedMemory | undefined,
): Promise<void> {
  if (emulator.guest_agent !== null) {
    await withAgent(emulator.guest_agent, limits, (agent) =>
      agent.execute("guest-fsfreeze-freeze", undefined, { timeoutMs: FREEZE_MS }),
    );
  }
  const domid = domainOf(emulator);
  if (domid === undefined) await monitor?.execute("stop");
  else if (saved !== undefined) await saved.saveAndPause(monitor);
  else await pauseDomain(domid);
}

/** Only the hypervisor can stop the processors of a guest of libxl. */
export const domainOf = ({ address }: PlannedEmulator): number | undefined =>
  address?.kind === "libxl" ? address.domid : undefined;

/** A moment in which a guest writes nothing. It goes on only if it was running. */
export class Standstill {
  private readonly monitor: Monitor;
  private isOurs = false;
  constructor(monitor: Monitor) {
    this.monitor = monitor;
  }

  async begin(): Promise<void> {
    if ((await statusIfGuest(this.monitor)) !== "running") return;
    this.isOurs = true;
    await this.monitor.execute("stop");
  }

  async end(): Promise<void> {
    if (this.isOurs) await this.monitor.execute("cont");
  }
}

/** A storage daemon has no run state. */
async function statusIfGuest(monitor: Monitor): Promise<string | undefined> {
  try {
    return await queryStatus(monitor);
  } catch (error) {
    if (isRefused(error) && error.qemuClass === "CommandNotFound") return undefined;
    throw error;
  }
}

/** Throws MonitorError. */
export async function withAgent<T>(
  path: string,
  limits: MonitorLimits,
  use: (agent: Monitor) => Promise<T>,
): Promise<T> {
  const agent = await connectGuestAgent({ path, name: `guest agent "${path}"`, ...limits });
  try {
    return await use(agent);
  } finally {
    await agent.close();
  }
}

/** Which of these commands QEMU does not know. */
export async function unknownCommands(
  monitor: Monitor,
  needed: readonly string[],
): Promise<string[]> {
  const Commands = v.array(v.looseObject({ name: v.string() }));
  try {
    const commands = v.parse(Commands, await monitor.execute("query-commands"));
    const known = new Set(commands.map(({ name }) => name));
    return needed.filter((command) => !known.has(command));
  } catch (error) {
    if (isRefused(error)) return []; // libvirt may hold it back; then the command itself tells.
    throw error;
  }
}
