// A file that stands where a new one goes: moved aside first, back if the group is undone, and
// removed when there is no way back any more.

import { existsSync, renameSync, unlinkSync } from "node:fs";
import { systemErrorOf } from "./file-error.ts";
import type { PlannedDisk } from "./group-plan.ts";

export function moveAside({ target, moved_aside: aside }: PlannedDisk): void {
  if (target !== null && aside !== null) moveFile(target, aside);
}

export function moveBack({ target, moved_aside: aside }: PlannedDisk): void {
  if (target === null || aside === null) return;
  if (existsSync(aside) && !existsSync(target)) moveFile(aside, target);
}

export function forgetReplaced({ moved_aside: aside }: PlannedDisk): void {
  if (aside !== null && existsSync(aside)) removeFile(aside);
}

export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    throw systemErrorOf(`Cannot remove "${path}"`, "unlink", path, error);
  }
}

function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw systemErrorOf(`Cannot move "${from}" to "${to}"`, "rename", from, error);
  }
}
