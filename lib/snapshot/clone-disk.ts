// Stopped raw disks, copied by reflink: the copy shares every block with its disk. The disks' locks
// are held until all copies are made, so that all are of one moment.
//
// A raw file has no header to put a mark in. So a copy gets two names, first one with the group's
// id in it: whatever has the same inode under the second name is ours.

import { existsSync, linkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Fd, isByteLocked, lockByte, openForReading } from "../sys/index.ts";
import type { Step, Steps } from "../transition/index.ts";
import { systemErrorOf } from "./file-error.ts";
import { type CreatePlan, diskTitle, type PlannedDisk } from "./group-plan.ts";
import { identityOf } from "./image-chain.ts";
import { makeClone, trialProblem } from "./reflink.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { forgetReplaced, moveAside, moveBack, removeFile } from "./replaced-file.ts";

/** What QEMU sees of a reader that suffers no writer: see stopped-image.ts. */
const READS_AT = 100;
const [WRITES_AT, RESIZES_AT] = [101, 103];
const SHARES_NOT_AT = [201, 203];

export function cloneSteps(plan: CreatePlan): Steps {
  const disks = plan.emulators.flatMap((emulator) =>
    emulator.disks.map((disk) => ({ disk, title: diskTitle(emulator, disk) })),
  );
  const held: Fd[] = [];
  const letGo = () => held.splice(0).forEach((fd) => fd[Symbol.dispose]());
  const locks: Step = {
    name: "lock all disks",
    execute: () => void held.push(...lockAll(disks.map(({ disk }) => disk.image))),
    commit: letGo,
    cancel: letGo,
  };
  return [locks, ...disks.map(({ disk, title }) => cloneStep(plan, disk, `clone ${title}`))];
}

function lockAll(paths: readonly string[]): Fd[] {
  const held: Fd[] = [];
  for (const path of paths) {
    const fd = openForReading(path);
    held.push(fd);
    if (isLockedAgainstWriters(fd)) continue;
    for (const one of held) one[Symbol.dispose]();
    throw new SnapshotRefusal(`Cannot clone "${path}": another process writes to it`);
  }
  return held;
}

function isLockedAgainstWriters(fd: Fd): boolean {
  for (const at of [READS_AT, ...SHARES_NOT_AT]) if (!lockByte(fd, at, "shared")) return false;
  return !isByteLocked(fd, WRITES_AT) && !isByteLocked(fd, RESIZES_AT);
}

function cloneStep(plan: CreatePlan, disk: PlannedDisk, name: string): Step {
  return {
    name,
    check: () => problemsOfCloning(disk),
    execute: () => clone(plan, disk),
    commit: () => finishClone(plan, disk),
    cancel: () => undoClone(plan, disk),
  };
}

const targetOf = ({ target, image }: PlannedDisk): string => target ?? image;

const stagedPath = (plan: CreatePlan, disk: PlannedDisk): string => {
  const target = targetOf(disk);
  return join(dirname(target), `.${basename(target).slice(0, 200)}.${plan.group}`);
};

function problemsOfCloning(disk: PlannedDisk): string[] {
  const problem = trialProblem(disk.image, targetOf(disk));
  return problem === undefined ? [] : [problem];
}

function clone(plan: CreatePlan, disk: PlannedDisk): void {
  const target = targetOf(disk);
  const staged = stagedPath(plan, disk);
  moveAside(disk);
  makeClone({ source: disk.image, target: staged, owner: disk.image });
  try {
    linkSync(staged, target);
  } catch (error) {
    throw systemErrorOf(`Cannot write "${target}"`, "link", target, error);
  }
}

/** Also for another process that recovers. */
export function undoClone(plan: CreatePlan, disk: PlannedDisk): void {
  const target = targetOf(disk);
  const staged = stagedPath(plan, disk);
  const isOurs =
    existsSync(staged) && existsSync(target) && identityOf(staged) === identityOf(target);
  if (isOurs) removeFile(target);
  removeIfThere(staged);
  moveBack(disk);
}

/** Finishes a clone whose group has all its copies. */
export function finishClone(plan: CreatePlan, disk: PlannedDisk): void {
  removeIfThere(stagedPath(plan, disk));
  forgetReplaced(disk);
}

function removeIfThere(path: string): void {
  if (existsSync(path)) removeFile(path);
}
