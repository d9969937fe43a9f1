// Finishes a deletion that was begun, and finishes or undoes a revert.

import { existsSync } from "node:fs";
import { applyChanges } from "./config-step.ts";
import { changesOfDelete, deleteOn } from "./delete.ts";
import type { DeletePlan, DeletingEmulator, RevertPlan } from "./group-plan.ts";
import type { Monitor } from "./monitor.ts";
import { attempt, type Context, reach, type RecoverResult } from "./recover-context.ts";
import { removeRestored } from "./restored-memory.ts";
import { finishRevert, revertDisk, undoRevert } from "./revert.ts";
import { becomesFree } from "./stopped-image.ts";
import { startStorageDaemon } from "./storage-daemon.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { unpauseDomain } from "./xl-toolstack.ts";

export async function finishDelete(plan: DeletePlan, context: Context): Promise<RecoverResult> {
  const { actions, limits } = context;
  const failures: string[] = [];
  for (const emulator of plan.emulators) {
    const isDone = await attempt(failures, async () => {
      const monitor = await reach(emulator.address, limits);
      if (monitor === undefined) return deleteStopped(plan, emulator, context);
      try {
        await deleteOn(plan, emulator, monitor, undefined);
        await letGoOn(emulator, monitor);
      } finally {
        await monitor.close();
      }
    });
    if (isDone) actions.push(`${emulator.name}: snapshot "${plan.snapshot}" is deleted`);
  }
  const { config } = plan;
  if (config !== null && failures.length === 0) {
    await attempt(failures, () => applyChanges(config, changesOfDelete(plan)));
  }
  actions.push(...failures);
  return failures.length === 0 ? "finished" : "stuck";
}

async function letGoOn(emulator: DeletingEmulator, monitor: Monitor): Promise<void> {
  if (!emulator.was_running) return;
  const status = (await monitor.execute("query-status")) as { readonly status?: unknown };
  if (status.status === "paused") await monitor.execute("cont");
}

/** Its QEMU is gone, or it never had one: the same in a storage daemon. */
async function deleteStopped(
  plan: DeletePlan,
  emulator: DeletingEmulator,
  { limits }: Context,
): Promise<void> {
  const daemon = await startStorageDaemon(limits);
  try {
    for (const [index, disk] of emulator.disks.entries()) {
      // The top that was merged away is gone: then the image below is the disk.
      const isGone = !existsSync(disk.image) && disk.overlay === disk.image;
      const filename = isGone ? disk.base : disk.image;
      const driver = isGone ? disk.base_format : disk.format;
      if (filename === null || driver === null) continue;
      if (!(await becomesFree(filename))) {
        throw new SnapshotRefusal(`Cannot finish: a process uses "${filename}"`);
      }
      const file = { driver: "file", filename };
      const given = { driver, "node-name": `disk${index}`, file };
      await daemon.monitor.execute("blockdev-add", given);
    }
    await deleteOn(plan, emulator, daemon.monitor, undefined);
  } finally {
    await daemon.close();
  }
}

/** Internal goes forward; what was only exchanged goes back, unless all of it was. */
export async function recoverRevert(plan: RevertPlan, context: Context): Promise<RecoverResult> {
  const { actions, isSwitched } = context;
  const failures: string[] = [];
  const isForward = plan.kind === "internal" || isSwitched;
  const { memory } = plan;
  if (memory !== null && !isSwitched) {
    // Its QEMU has the images open that change places again.
    const isGone = await attempt(failures, () => removeRestored(memory));
    if (!isGone) {
      actions.push(...failures);
      return "stuck";
    }
    actions.push(`domain "${memory.domain}" is not restored`);
  }
  for (const disk of plan.disks) {
    const isDone = await attempt(failures, async () => {
      if (!isForward) return undoRevert(plan, disk);
      if (plan.kind === "internal" && !isSwitched) await revertDisk(plan, disk);
      finishRevert(disk);
    });
    const now = isForward ? `is back at "${plan.snapshot}"` : "is as it was before";
    if (isDone) actions.push(`disk "${disk.name}" ${now}`);
  }
  if (memory !== null && isSwitched) {
    const isGoing = await attempt(failures, () => unpauseDomain(memory.domain));
    if (isGoing) actions.push(`domain "${memory.domain}" goes on`);
  }
  actions.push(...failures);
  if (failures.length > 0) return "stuck";
  return isForward ? "finished" : "undone";
}
