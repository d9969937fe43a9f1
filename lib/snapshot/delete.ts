// Deletes a snapshot of a group. QEMU cannot take a deletion back, so the transition only goes
// forward: what was begun is finished, by recover if it must be. Every function looks before it
// acts, and may be called again.
//
// An external snapshot is an image with an overlay on it. commit copies what the overlay holds into
// the image and drops the overlay; stream copies the image into the overlay and drops the image
// from the chain. Where the overlay is the disk itself, the guest stands still from the moment that
// the image takes over until the overlay's file is gone: as long as the file is there, nothing
// newer is anywhere else, and committing it once more does no harm.

import { existsSync } from "node:fs";
import { type Outcome, runTransition, type Step } from "../transition/index.ts";
import { type BlockNode, diskOfNode, localPath, queryDisks, queryNodes } from "./block-facts.ts";
import { applyChanges, checkChanges } from "./config-step.ts";
import type { Conditions } from "./create.ts";
import { type DeleteOptions, makeDeletePlan } from "./delete-plan.ts";
import { openGroup } from "./emulator.ts";
import { deleteNode } from "./external-disk.ts";
import { lockImages } from "./group-lock.ts";
import type { DeletedDisk, DeletePlan, DeletingEmulator } from "./group-plan.ts";
import type { GroupSpec } from "./group-spec.ts";
import { identityOf } from "./image-chain.ts";
import { deleteInternal } from "./internal-disk.ts";
import { runJobs } from "./jobs.ts";
import { fileJournal } from "./journal-file.ts";
import type { Monitor } from "./monitor.ts";
import { Standstill } from "./pause.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { removeFile } from "./replaced-file.ts";
import type { ConfigChange } from "./xl-config.ts";

type Progress = Conditions["onProgress"];

export interface Deleted {
  readonly plan: DeletePlan;
  readonly outcome: Outcome;
}

/** All of it, or what was begun is finished by recover. */
export async function deleteGroup(
  spec: GroupSpec,
  options: DeleteOptions,
  around: Conditions,
): Promise<Deleted> {
  await using opened = await openGroup(spec, around.limits);
  const { plan, reasons } = makeDeletePlan(opened, options);
  using locks = lockImages(plan.emulators.flatMap(({ disks }) => disks));
  const told = [...reasons, ...locks.reasons].map((one) => `${one.subject}: ${one.message}`);
  const steps = plan.emulators.map((emulator, index): Step => {
    const { monitor } = opened.emulators[index]!; // The plan is made from the same list.
    return {
      name: `delete on ${emulator.name}`,
      execute: () => deleteOn(plan, emulator, monitor, around.onProgress),
      update: () => checkDeleted(plan, emulator, monitor),
    };
  });
  const changes = changesOfDelete(plan);
  const config: Step = {
    name: "config",
    check: () => (plan.config === null ? [] : checkChanges(plan.config, changes)),
    commit: () => (plan.config === null ? undefined : applyChanges(plan.config, changes)),
  };
  using journal = fileJournal(around.journals, plan);
  const outcome = await runTransition({
    steps: [{ name: "group", check: () => told }, steps, config],
    journal,
    onFailure: "forward",
    ...(around.interrupt === undefined ? {} : { interrupt: around.interrupt }),
    ...(around.observe === undefined ? {} : { observe: around.observe }),
  });
  return { plan, outcome };
}

/** A disk whose top is merged into the image below is that image from then on. */
export const changesOfDelete = ({ kind, merge, emulators }: DeletePlan): ConfigChange[] =>
  emulators.flatMap(({ disks }) =>
    disks.flatMap(({ image, overlay, base, base_format }) => {
      const isTop = kind === "external" && merge === "commit" && overlay === image;
      if (!isTop || base === null || base_format === null) return [];
      return [{ from: { path: image, format: "qcow2" }, to: { path: base, format: base_format } }];
    }),
  );

/** Deletes what is still there. */
export async function deleteOn(
  plan: DeletePlan,
  emulator: DeletingEmulator,
  monitor: Monitor,
  onProgress: Progress,
): Promise<void> {
  if (plan.kind === "internal") return deleteInternals(plan, emulator, monitor);
  const standstill = new Standstill(monitor);
  const merges = await mergesLeft(emulator, monitor);
  await runJobs({
    monitor,
    jobs: merges.map((merge, index) => jobOf(plan, merge, index)),
    onReady: () => standstill.begin(),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  if (plan.merge === "commit") await dropOverlays(plan, emulator, monitor);
  await standstill.end();
}

async function deleteInternals(
  plan: DeletePlan,
  { disks }: DeletingEmulator,
  monitor: Monitor,
): Promise<void> {
  const roots = await rootsOf(disks, monitor);
  for (const [disk, root] of roots) {
    const { id } = disk;
    const isThere = root.image.snapshots.some((one) => one.id === id && one.name === plan.snapshot);
    const node = root["node-name"];
    if (id !== null && isThere) await deleteInternal(monitor, { node, id, name: plan.snapshot });
  }
}

interface Merge {
  readonly root: BlockNode;
  readonly overlay: BlockNode;
  readonly base: BlockNode;
}

async function mergesLeft({ disks }: DeletingEmulator, monitor: Monitor): Promise<Merge[]> {
  const roots = await rootsOf(disks, monitor);
  const nodes = await queryNodes(monitor);
  return [...roots].flatMap(([disk, root]): Merge[] => {
    const chain = chainOf(root, nodes);
    const at = chain.findIndex((node) => isFile(node, disk.overlay));
    const [overlay, base] = [chain[at], chain[at + 1]];
    if (overlay === undefined || base === undefined || !isFile(base, disk.base)) return [];
    return [{ root, overlay, base }];
  });
}

function jobOf(plan: DeletePlan, { root, overlay, base }: Merge, index: number) {
  const id = `agent-${plan.group.slice(0, 8)}-${index}-${plan.merge}`;
  const device = root["node-name"];
  if (plan.merge === "stream") {
    // Dismissed by QEMU itself: see queryNodes.
    const given = { device: overlay["node-name"], "auto-dismiss": true };
    return { id, command: "block-stream", given };
  }
  const top = overlay === root ? {} : { "top-node": overlay["node-name"] };
  const given = { device, ...top, "base-node": base["node-name"] };
  return { id, command: "block-commit", given };
}

/** Overlays that no disk stands on any more go away, node and file. */
async function dropOverlays(
  plan: DeletePlan,
  { disks }: DeletingEmulator,
  monitor: Monitor,
): Promise<void> {
  const roots = await rootsOf(disks, monitor);
  for (const [disk, root] of roots) {
    const { overlay } = disk;
    if (overlay === null || !existsSync(overlay)) continue;
    const nodes = await queryNodes(monitor);
    const isMerged = isMergedInto(root, disk, nodes);
    if (!isMerged) {
      throw new SnapshotRefusal(`Cannot delete "${plan.snapshot}" of ${disk.name}: not merged`);
    }
    const left = nodes.find((node) => node.drv === "qcow2" && isFile(node, overlay));
    if (left !== undefined) await deleteNode(monitor, left["node-name"]);
    removeFile(overlay);
  }
}

/**
 * After a merge of the top a node that has no other owner stays, on top of nothing that is written
 * to: what takes the writes is the image below.
 */
function isMergedInto(root: BlockNode, disk: DeletedDisk, nodes: readonly BlockNode[]): boolean {
  if (!isFile(root, disk.overlay)) {
    return !chainOf(root, nodes).some((node) => isFile(node, disk.overlay));
  }
  const below = chainOf(root, nodes)[1];
  return below !== undefined && isFile(below, disk.base) && !below.ro;
}

async function checkDeleted(
  plan: DeletePlan,
  emulator: DeletingEmulator,
  monitor: Monitor,
): Promise<void> {
  const left: string[] = [];
  const roots = await rootsOf(emulator.disks, monitor);
  const nodes = await queryNodes(monitor);
  for (const [disk, root] of roots) {
    const isInternal = root.image.snapshots.some(({ id }) => id === disk.id);
    const chain = chainOf(root, nodes);
    const above = chain.findIndex((node) => isFile(node, disk.overlay));
    const isExternal = above !== -1 && isFile(chain[above + 1], disk.base);
    if (plan.kind === "internal" ? isInternal : isExternal) left.push(disk.name);
  }
  if (left.length === 0) return;
  throw new SnapshotRefusal(`Snapshot "${plan.snapshot}" is still there on ${left.join(", ")}`);
}

/** What each disk's root is now. A disk that has gone from QEMU is left out. */
async function rootsOf(
  disks: readonly DeletedDisk[],
  monitor: Monitor,
): Promise<Map<DeletedDisk, BlockNode>> {
  const nodes = await queryNodes(monitor);
  const drives = await queryDisks(monitor);
  const roots = new Map<DeletedDisk, BlockNode>();
  for (const disk of disks) {
    const drive =
      drives.find(({ names }) => names.includes(disk.name)) ?? diskOfNode(nodes, disk.name);
    const name = drive?.medium?.node;
    const root =
      nodes.find((node) => node["node-name"] === name) ??
      nodes.find((node) => node.drv === disk.format && isFile(node, disk.image)) ??
      nodes.find((node) => node.drv === disk.base_format && isFile(node, disk.base));
    if (root !== undefined) roots.set(disk, root);
  }
  return roots;
}

/** Format nodes from a root down, by the files that they say they stand on. */
function chainOf(root: BlockNode, nodes: readonly BlockNode[]): BlockNode[] {
  const chain = [root];
  for (;;) {
    const file = chain.at(-1)?.backing_file;
    const below = nodes.find(
      (node) =>
        file !== undefined &&
        node.file === file &&
        node.drv !== "file" &&
        node.drv !== "host_device",
    );
    if (below === undefined || chain.includes(below)) return chain;
    chain.push(below);
  }
}

function isFile(node: BlockNode | undefined, path: string | null): boolean {
  const own = node === undefined ? undefined : localPath(node.file);
  if (own === undefined || path === null) return false;
  if (own === path) return true;
  return existsSync(own) && existsSync(path) && identityOf(own) === identityOf(path);
}
