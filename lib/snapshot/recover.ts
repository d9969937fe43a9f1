// Finishes or undoes what a dead process or host left: one journal at a time.
//
// What the disks are decides, not what the journal hopes: a group of which every disk has its
// snapshot is finished, any other is undone. Each part looks before it acts, so recovering may
// itself be killed and begun again.

import { queryNodes } from "./block-facts.ts";
import { finishClone, undoClone } from "./clone-disk.ts";
import { applyToConfig } from "./config-step.ts";
import { messageOf } from "./emulator.ts";
import { isExternal, stateOf, switchBack, unstage } from "./external-disk.ts";
import { goOn } from "./go-on.ts";
import { type CreatePlan, diskTitle, type PlannedEmulator } from "./group-plan.ts";
import { newIds, snapshotsOf, takeBack, takeBackWithoutQemu } from "./internal-disk.ts";
import { finishDelete, recoverRevert } from "./recover-forward.ts";
import {
  type AnyPlan,
  type JournalFile,
  journalsIn,
  openJournal,
  readJournal,
} from "./journal-file.ts";
import { SnapshotRefusal } from "./refusal.ts";
import {
  attempt,
  type Context,
  reach,
  type RecoverResult,
  unreachable,
} from "./recover-context.ts";
import { removeMemory, stopMigration } from "./memory.ts";
import type { Monitor } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import { readQcow2 } from "./qcow2-image.ts";
import { forgetReplaced } from "./replaced-file.ts";
import { waitForSave } from "./xl-toolstack.ts";

export interface Recovered {
  readonly journal: string;
  readonly group: string | undefined;
  readonly snapshot: string | undefined;
  readonly operation: string | undefined;
  readonly result: RecoverResult;
  /** What was done, and what could not be. */
  readonly actions: readonly string[];
}

export interface RecoverOptions {
  readonly limits: MonitorLimits;
  readonly journals: string;
}

/** Every journal of the folder. */
export async function recoverAll({ limits, journals }: RecoverOptions): Promise<Recovered[]> {
  const found: Recovered[] = [];
  for (const path of journalsIn(journals)) found.push(await recoverOne(path, limits));
  return found;
}

async function recoverOne(path: string, limits: MonitorLimits): Promise<Recovered> {
  const actions: string[] = [];
  const about = { journal: path, group: undefined, snapshot: undefined, operation: undefined };
  let file: JournalFile;
  try {
    file = openJournal(path);
  } catch (error) {
    return { ...about, result: "busy", actions: [messageOf(error)] };
  }
  using held = file;
  let named: Omit<Recovered, "result" | "actions"> = about;
  try {
    const state = readJournal(path);
    const { plan } = state;
    if (plan === undefined || state.isDone) {
      held.remove();
      const why = plan === undefined ? "it had changed nothing yet" : "all of it was done";
      return { ...about, result: "nothing", actions: [`removed the journal: ${why}`] };
    }
    named = {
      journal: path,
      group: plan.group,
      snapshot: plan.snapshot,
      operation: plan.operation,
    };
    const result = await recoverPlan(plan, { ...state, limits, actions });
    if (result !== "stuck") held.remove();
    return { ...named, result, actions };
  } catch (error) {
    return { ...named, result: "stuck", actions: [...actions, messageOf(error)] };
  }
}

function recoverPlan(plan: AnyPlan, context: Context): Promise<RecoverResult> {
  if (plan.operation === "create") return recoverCreate(plan, context);
  return plan.operation === "delete" ? finishDelete(plan, context) : recoverRevert(plan, context);
}

interface Reached {
  readonly emulator: PlannedEmulator;
  /** undefined: its QEMU is gone, or there was none. */
  readonly monitor: Monitor | undefined;
}

async function recoverCreate(plan: CreatePlan, context: Context): Promise<RecoverResult> {
  const { limits, actions } = context;
  const reached: Reached[] = [];
  try {
    const failed: string[] = [];
    for (const emulator of plan.emulators) {
      const { address, memory } = emulator;
      if (memory !== null && address?.kind === "libxl") {
        const isOver = await attempt(failed, () => waitForSave(address.domid, limits.replyMs));
        if (!isOver) continue; // Its QEMU and its processors are in the hands of xl.
      }
      const isReached = await attempt(failed, async () => {
        reached.push({ emulator, monitor: await reach(address, limits) });
      });
      if (isReached || address === null) continue; // Without an address reach() cannot fail.
      // What needs no monitor can be done all the same: it is not left paused or frozen.
      reached.push({ emulator, monitor: unreachable(address) });
    }
    if (failed.length > 0) throw new SnapshotRefusal(failed.join("; "));
    const isWhole = context.isSwitched || (await areAllTaken(plan, reached));
    const work = isWhole ? finish : undo;
    const failures = await work(plan, reached, context);
    actions.push(...failures);
    const isDone = (await letGoOn(reached, context)) && failures.length === 0;
    if (!isDone) return "stuck";
    return isWhole ? "finished" : "undone";
  } catch (error) {
    await letGoOn(reached, context); // Whatever an operator has to do, guests need not wait for it.
    throw error;
  } finally {
    for (const { monitor } of reached) await monitor?.close();
  }
}

async function letGoOn(reached: readonly Reached[], context: Context): Promise<boolean> {
  const { actions, limits } = context;
  const failures: string[] = [];
  for (const { emulator, monitor } of reached) {
    const isGoing = await attempt(failures, () => goOn({ emulator, monitor, limits }));
    const isGuest = emulator.was_running && monitor !== undefined;
    if (isGoing && isGuest) actions.push(`${emulator.name}: goes on`);
  }
  actions.push(...failures);
  return failures.length === 0;
}

async function areAllTaken(plan: CreatePlan, reached: readonly Reached[]): Promise<boolean> {
  if (plan.kind === "clone") return false; // Nothing but files: none is missed.
  for (const { emulator, monitor } of reached) {
    if (emulator.memory !== null) return false; // A rest of the memory may be missing.
    const nodes = monitor === undefined ? undefined : await queryNodes(monitor);
    for (const disk of emulator.disks) {
      if (isExternal(disk)) {
        // Without its QEMU an overlay is only a file: whether it was switched cannot be known.
        if (nodes === undefined || stateOf(disk, nodes) !== "switched") return false;
        continue;
      }
      const snapshots =
        nodes === undefined ? readQcow2(disk.image).snapshots : snapshotsOf(disk, nodes);
      if (newIds(plan, disk, snapshots).length !== 1) return false;
    }
  }
  return true;
}

type Work = (plan: CreatePlan, reached: readonly Reached[], context: Context) => Promise<string[]>;

const finish: Work = async (plan, reached, { actions }) => {
  const failures: string[] = [];
  await attempt(failures, () => applyToConfig(plan, "forward"));
  for (const { emulator } of reached) {
    for (const disk of emulator.disks) {
      if (plan.kind === "clone") finishClone(plan, disk);
      else forgetReplaced(disk);
      actions.push(`${diskTitle(emulator, disk)}: keeps snapshot "${plan.snapshot}"`);
    }
  }
  return failures;
};

const undo: Work = async (plan, reached, { actions, limits }) => {
  const failures: string[] = [];
  await attempt(failures, () => applyToConfig(plan, "back"));
  for (const { emulator, monitor } of reached) {
    const isMigrated = emulator.memory !== null && emulator.address?.kind !== "libxl";
    if (isMigrated && monitor !== undefined) {
      await attempt(failures, () => stopMigration(monitor));
    }
    await attempt(failures, () => removeMemory(plan, emulator));
    if (plan.kind === "external" && monitor !== undefined) {
      await attempt(failures, () => switchBack(plan, emulator.disks.filter(isExternal), monitor));
    }
    if (plan.kind === "internal" && monitor !== undefined) {
      await attempt(failures, () => takeBack(plan, emulator, monitor));
    }
    for (const disk of emulator.disks) {
      const isDone = await attempt(failures, async () => {
        if (plan.kind === "clone") return undoClone(plan, disk);
        if (isExternal(disk)) return unstage(plan, disk, monitor);
        return monitor === undefined ? takeBackWithoutQemu(plan, disk, limits) : undefined;
      });
      if (isDone) {
        actions.push(`${diskTitle(emulator, disk)}: has no snapshot "${plan.snapshot}"`);
      }
    }
  }
  return failures;
};
