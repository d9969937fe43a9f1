// The disks of an internal group: which snapshot is new, and how it is taken away again.

import * as v from "valibot";
import { type BlockNode, queryNodes } from "./block-facts.ts";
import type { CreatePlan, PlannedDisk, PlannedEmulator } from "./group-plan.ts";
import type { Monitor } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import { readQcow2 } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { becomesFree } from "./stopped-image.ts";
import { startStorageDaemon } from "./storage-daemon.ts";

export const internalAction = (plan: CreatePlan, disk: PlannedDisk) => ({
  type: "blockdev-snapshot-internal-sync",
  data: { device: disk.node, name: plan.snapshot },
});

/** Ids of the snapshots that the group made on a disk: one, or none. */
export function newIds(
  plan: CreatePlan,
  disk: PlannedDisk,
  snapshots: readonly { readonly id: string; readonly name: string }[],
): string[] {
  return snapshots
    .filter(({ id, name }) => name === plan.snapshot && !disk.ids_before.includes(id))
    .map(({ id }) => id);
}

export const snapshotsOf = (disk: PlannedDisk, nodes: readonly BlockNode[]) =>
  nodes.find((node) => node["node-name"] === disk.node)?.image.snapshots ?? [];

/** After the switch: every disk has exactly one that is new. */
export async function checkTaken(
  plan: CreatePlan,
  { disks }: PlannedEmulator,
  monitor: Monitor,
): Promise<void> {
  const nodes = await queryNodes(monitor);
  for (const disk of disks) {
    const count = newIds(plan, disk, snapshotsOf(disk, nodes)).length;
    if (count === 1) continue;
    const found = `has ${count} new snapshots "${plan.snapshot}", wanted 1`;
    throw new SnapshotRefusal(`Disk ${disk.name} ${found}`);
  }
}

/** Deletes what the group made, by id and name. */
export async function takeBack(
  plan: CreatePlan,
  { disks }: PlannedEmulator,
  monitor: Monitor,
): Promise<void> {
  const nodes = await queryNodes(monitor);
  for (const disk of disks) {
    for (const id of newIds(plan, disk, snapshotsOf(disk, nodes))) {
      await deleteInternal(monitor, { node: disk.node, id, name: plan.snapshot });
    }
  }
}

const Deleted = v.looseObject({ id: v.string(), name: v.string() });

export async function deleteInternal(
  monitor: Monitor,
  { node, id, name }: { readonly node: string; readonly id: string; readonly name: string },
): Promise<void> {
  const deleted = await monitor.execute("blockdev-snapshot-delete-internal-sync", {
    device: node,
    id,
    name,
  });
  if (v.is(Deleted, deleted) && deleted.id === id) return;
  throw new SnapshotRefusal(`QEMU deleted another snapshot than ${id} ("${name}") of ${node}`);
}

/** The same for a disk whose QEMU is gone. */
export async function takeBackWithoutQemu(
  plan: CreatePlan,
  disk: PlannedDisk,
  limits: MonitorLimits,
): Promise<void> {
  const ids = newIds(plan, disk, readQcow2(disk.image).snapshots);
  if (ids.length === 0) return;
  if (!(await becomesFree(disk.image))) {
    throw new SnapshotRefusal(`Cannot undo ${disk.name}: a process uses "${disk.image}"`);
  }
  const daemon = await startStorageDaemon(limits);
  try {
    const file = { driver: "file", filename: disk.image };
    const given = { driver: "qcow2", "node-name": "disk", file };
    await daemon.monitor.execute("blockdev-add", given);
    for (const id of ids) {
      await deleteInternal(daemon.monitor, { node: "disk", id, name: plan.snapshot });
    }
  } finally {
    await daemon.close();
  }
}
