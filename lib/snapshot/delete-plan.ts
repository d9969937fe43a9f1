// Which snapshot of each disk is deleted, by id, and every reason against it. A deletion cannot be
// undone, so all of it is found out before the first.

import { randomUUID } from "node:crypto";
import type { QemuDisk } from "./block-facts.ts";
import { GOOD_STATES } from "./guest-states.ts";
import { messageOf, type OpenGroup, type Reason } from "./emulator.ts";
import type { DeletedDisk, DeletePlan } from "./group-plan.ts";
import { type ChainLink, identityOf, readChain } from "./image-chain.ts";
import { refuseOthersOn } from "./overlays-on.ts";
import { SnapshotRefusal } from "./refusal.ts";

export interface DeleteOptions {
  readonly snapshot: string;
  readonly kind: "external" | "internal";
  readonly merge: "commit" | "stream";
  /** Internal: which one, where several have the name; for one disk. */
  readonly id: string | undefined;
  readonly config: string | undefined;
  readonly nowMs: number;
}

export interface MadeDeletePlan {
  readonly plan: DeletePlan;
  readonly reasons: readonly Reason[];
}

export function makeDeletePlan(opened: OpenGroup, options: DeleteOptions): MadeDeletePlan {
  const reasons: Reason[] = [...opened.reasons];
  const { snapshot, kind, merge, config, nowMs } = options;
  const emulators = opened.emulators.map((emulator) => {
    const { name, address, status, jobs } = emulator;
    if (status !== undefined && !GOOD_STATES.has(status)) {
      reasons.push({ subject: name, message: `the guest is in state "${status}"` });
    }
    if (jobs.length > 0) {
      reasons.push({ subject: name, message: `block jobs are there: ${jobs.join(", ")}` });
    }
    const disks = emulator.disks.flatMap((disk) => {
      const subject = address === undefined ? disk.name : `${name}: ${disk.name}`;
      try {
        return [deletedDisk(disk, options)];
      } catch (error) {
        reasons.push({ subject, message: messageOf(error) });
        return [];
      }
    });
    return { name, address: address ?? null, was_running: status === "running", disks };
  });
  const all = emulators.flatMap(({ disks }) => disks);
  const names = new Map<string, string>();
  for (const { identity, name } of all) {
    const other = names.get(identity);
    if (other === undefined) names.set(identity, name);
    else reasons.push({ subject: name, message: `the image is also that of ${other}` });
  }
  const plan: DeletePlan = {
    operation: "delete",
    group: randomUUID(),
    snapshot,
    kind,
    merge,
    made: new Date(nowMs).toISOString(),
    config: config ?? null,
    emulators,
  };
  return { plan, reasons };
}

function deletedDisk({ name, medium }: QemuDisk, options: DeleteOptions): DeletedDisk {
  if (medium === undefined) throw new SnapshotRefusal("there is no medium in the drive");
  const { path, driver: format } = medium;
  if (path === undefined) throw new SnapshotRefusal("there is no file of this host behind it");
  if (medium.isReadOnly) throw new SnapshotRefusal("the disk is read-only");
  const about = { name, image: path, identity: identityOf(path), format };
  if (options.kind === "internal") {
    const id = idOf(medium.snapshots, options);
    return { ...about, id, overlay: null, base: null, base_format: null };
  }
  if (medium.hasPersistentBitmap) {
    throw new SnapshotRefusal("it has a persistent dirty bitmap, which keeps a merge from working");
  }
  if (format !== "qcow2") throw new SnapshotRefusal(`it has no snapshot "${options.snapshot}"`);
  const chain = readChain(path);
  const { overlay, base } = externalSnapshot(chain, options.snapshot);
  if (options.merge === "stream" && base.image?.backingFile !== undefined) {
    const why = `"${base.path}" has a backing file itself: take --by commit`;
    throw new SnapshotRefusal(`the images cannot be streamed together: ${why}`);
  }
  if (options.merge === "commit") {
    // The image changes under every other overlay on it, and the overlay goes away.
    const upper = chain[chain.indexOf(overlay) - 1]?.path;
    const inside = overlay.image?.snapshots.map((one) => `"${one.name}"`).join(", ") ?? "";
    if (inside !== "") {
      const why = `has the internal snapshots ${inside}, which would go with it: delete them first`;
      throw new SnapshotRefusal(`"${overlay.path}" ${why}`);
    }
    refuseOthersOn(base.path, [overlay.path]);
    refuseOthersOn(overlay.path, upper === undefined ? [] : [upper]);
  }
  return { ...about, id: null, overlay: overlay.path, base: base.path, base_format: base.format };
}

function idOf(
  snapshots: readonly { readonly id: string; readonly name: string }[],
  { snapshot, id }: DeleteOptions,
): string {
  const named = snapshots.filter((one) => one.name === snapshot);
  const chosen = id === undefined ? named : named.filter((one) => one.id === id);
  const [first] = chosen;
  const what = id === undefined ? `"${snapshot}"` : `"${snapshot}" with id ${id}`;
  if (first === undefined) throw new SnapshotRefusal(`it has no internal snapshot ${what}`);
  if (chosen.length === 1) return first.id;
  const ids = chosen.map((one) => one.id).join(", ");
  throw new SnapshotRefusal(`it has ${chosen.length} snapshots ${what} (ids ${ids}): give --id`);
}

/** The overlay whose mark has the name, and the image below it. Throws SnapshotRefusal. */
export function externalSnapshot(chain: readonly ChainLink[], snapshot: string) {
  const found = chain.flatMap((overlay, index) => {
    const base = chain[index + 1];
    const isIt = overlay.image?.mark?.snapshot === snapshot && base !== undefined;
    return isIt ? [{ overlay, base }] : [];
  });
  const [first] = found;
  if (first === undefined) {
    throw new SnapshotRefusal(`it has no external snapshot "${snapshot}" that agent made`);
  }
  if (found.length === 1) return first;
  throw new SnapshotRefusal(`its chain has ${found.length} external snapshots "${snapshot}"`);
}
