// Overlays that the operator made beforehand: QEMU would take any file, and shrink a disk or lose
// its base with it.

import { existsSync } from "node:fs";
import { systemErrorOf } from "./file-error.ts";
import type { PlannedDisk } from "./group-plan.ts";
import { backingPath, identityOf } from "./image-chain.ts";
import { holdsData, readQcow2 } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";

/** Why the file at `target` cannot become the disk's overlay, or undefined. */
export function problemOfExisting(disk: PlannedDisk, target: string): string | undefined {
  if (!existsSync(target)) return `"${target}" is not there, and --use-existing wants it`;
  try {
    const image = readQcow2(target);
    const says = `"${target}"`;
    if (image.backingFile === undefined) return `${says} names no backing file in its header`;
    if (image.backingFormat !== disk.format) {
      const found = image.backingFormat ?? "none";
      return `${says} gives its backing file's format as ${found}, wanted ${disk.format}`;
    }
    const below = backingPath(target, image.backingFile);
    if (!existsSync(below) || identityOf(below) !== disk.identity) {
      return `${says} has the backing file "${below}", wanted "${disk.image}"`;
    }
    if (image.virtualBytes !== disk.virtual_bytes) {
      return `${says} is a disk of ${image.virtualBytes} bytes, wanted ${disk.virtual_bytes}`;
    }
    if (holdsData(target)) return `${says} holds data already`;
    return image.snapshots.length > 0 ? `${says} has snapshots already` : undefined;
  } catch (error) {
    if (error instanceof SnapshotRefusal) return error.message;
    throw systemErrorOf(`Cannot read "${target}"`, "open", target, error);
  }
}
