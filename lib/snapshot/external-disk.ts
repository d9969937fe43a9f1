// One disk of an external group: where it stands, and how each part of it is done and undone.
//
//     absent     no overlay, or only its file
//     staged     the overlay is open in QEMU and nobody's: the guest does not know of it
//     switched   the overlay is the disk, its old image is read-only below it
//
// Every function looks before it acts, so that each may be called again: by a cancel, and by
// another process that recovers.

import { existsSync, statSync } from "node:fs";
import { type BlockNode, queryNodes } from "./block-facts.ts";
import type { CreatePlan, PlannedDisk } from "./group-plan.ts";
import { becomesFree, mergeStopped } from "./stopped-image.ts";
import { runJobs } from "./jobs.ts";
import { isRefused, type Monitor } from "./monitor.ts";
import { Standstill } from "./pause.ts";
import { createOverlay } from "./overlay-file.ts";
import { problemOfExisting } from "./existing-overlay.ts";
import { holdsData, readIfQcow2 } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { moveAside, moveBack, removeFile } from "./replaced-file.ts";

export type DiskState = "absent" | "staged" | "switched";

/** A disk with an overlay: of an external group. */
export interface ExternalDisk extends PlannedDisk {
  readonly target: string;
  readonly target_node: string;
}

export const isExternal = (disk: PlannedDisk): disk is ExternalDisk =>
  disk.target !== null && disk.target_node !== null;

export function stateOf(disk: ExternalDisk, nodes: readonly BlockNode[]): DiskState {
  const overlay = nodes.find((node) => node["node-name"] === disk.target_node);
  if (overlay === undefined) return "absent";
  const below = nodes.find((node) => node["node-name"] === disk.node);
  const isAbove = overlay.backing_file !== undefined && below?.ro === true;
  return isAbove ? "switched" : "staged";
}

/** Makes the overlay's file and opens it in QEMU, beside the disk. */
export async function stage(plan: CreatePlan, disk: ExternalDisk, monitor: Monitor): Promise<void> {
  const { target } = disk;
  moveAside(disk);
  if (disk.uses_existing) {
    const problem = problemOfExisting(disk, target); // It may have been changed since.
    if (problem !== undefined) throw new SnapshotRefusal(problem);
  } else {
    const { uid, gid, mode } = statSync(disk.image);
    createOverlay({
      path: target,
      virtualBytes: disk.virtual_bytes,
      backingFile: disk.image,
      backingFormat: disk.format,
      mark: { group: plan.group, snapshot: plan.snapshot, made: plan.made, stem: disk.stem },
      owner: { uid, gid, mode: mode & 0o777 },
    });
  }
  await monitor.execute("blockdev-add", {
    driver: "qcow2",
    "node-name": disk.target_node,
    backing: null, // The base is open already; the switch puts it below.
    file: { driver: "file", filename: target },
  });
}

export const switchAction = (disk: ExternalDisk) => ({
  type: "blockdev-snapshot",
  data: { node: disk.node, overlay: disk.target_node },
});

/**
 * Merges overlays back that are the disks already: the guest sees the same data all the time. It
 * stands still from the moment that the images below take over until the overlays' files are gone:
 * as long as one is there, nothing newer is anywhere else, should QEMU die now.
 */
export async function switchBack(
  plan: CreatePlan,
  disks: readonly ExternalDisk[],
  monitor: Monitor,
): Promise<void> {
  const nodes = await queryNodes(monitor);
  const switched = disks.filter((disk) => stateOf(disk, nodes) === "switched");
  if (switched.length === 0) return;
  const standstill = new Standstill(monitor);
  await runJobs({
    monitor,
    onReady: () => standstill.begin(),
    jobs: switched.map(({ target_node: device, node }) => ({
      id: `${device}-back`,
      command: "block-commit",
      given: { device, "base-node": node },
    })),
  });
  const after = await queryNodes(monitor);
  for (const disk of switched) {
    if (stateOf(disk, after) === "switched") {
      throw new SnapshotRefusal(`Cannot undo ${disk.name}: "${disk.target}" is still its top`);
    }
    await deleteNode(monitor, disk.target_node);
    if (!disk.uses_existing && isOurs(plan, disk)) removeFile(disk.target);
  }
  await standstill.end();
}

/** Takes the overlay away, file and all. `monitor` undefined: the disk's QEMU is gone. */
export async function unstage(
  plan: CreatePlan,
  disk: ExternalDisk,
  monitor: Monitor | undefined,
): Promise<void> {
  if (monitor === undefined) await settleWithoutQemu(plan, disk);
  else {
    const state = stateOf(disk, await queryNodes(monitor));
    if (state === "switched") {
      throw new SnapshotRefusal(`Cannot remove "${disk.target}": it is the top of the disk`);
    }
    if (state === "staged") await deleteNode(monitor, disk.target_node);
  }
  if (!disk.uses_existing && isOurs(plan, disk)) removeFile(disk.target);
  moveBack(disk);
}

export async function deleteNode(monitor: Monitor, node: string): Promise<void> {
  try {
    await monitor.execute("blockdev-del", { "node-name": node });
  } catch (error) {
    const isThere = (await queryNodes(monitor)).some((one) => one["node-name"] === node);
    if (!isRefused(error) || isThere) throw error;
  }
}

/**
 * What QEMU wrote into the overlay before it died goes into the image below: it was acknowledged.
 */
async function settleWithoutQemu(plan: CreatePlan, disk: ExternalDisk): Promise<void> {
  if (!existsSync(disk.target)) return;
  if (!disk.uses_existing && !isOurs(plan, disk)) return;
  if (!(await becomesFree(disk.target))) {
    throw new SnapshotRefusal(`Cannot undo ${disk.name}: a process uses "${disk.target}"`);
  }
  if (!holdsData(disk.target)) return;
  if (!(await becomesFree(disk.image))) {
    const why = `it holds data, and a process uses "${disk.image}" below it`;
    throw new SnapshotRefusal(`Cannot undo ${disk.name}: "${disk.target}" has to stay: ${why}`);
  }
  await mergeStopped({ top: disk.target, base: disk.image, format: disk.format });
}

/** By the mark in its header, never by its name. */
export function isOurs(plan: CreatePlan, disk: ExternalDisk): boolean {
  if (!existsSync(disk.target)) return false;
  return readIfQcow2(disk.target)?.mark?.group === plan.group;
}
