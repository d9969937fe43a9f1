// Takes a group of stopped disks back to a snapshot: what was written since is lost.
//
// External: a fresh overlay on the image that is the snapshot takes the place of the disk's top, by
// an exchange of two names. Clone: a copy of the copy does. Both can be undone until the last disk
// has changed places, and are. Internal: QEMU copies the snapshot's tables over the disk's own,
// which nothing brings back: that goes forward only, and is finished by recover if it must be.
// A guest of libxl whose memory was kept is restored with its disks, see restored-memory.ts.

import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { exchangeFiles } from "../sys/index.ts";
import { type Outcome, runTransition, type Step } from "../transition/index.ts";
import type { Conditions } from "./create.ts";
import { externalSnapshot } from "./delete-plan.ts";
import { messageOf, type Reason } from "./emulator.ts";
import { lockImages } from "./group-lock.ts";
import type { Kind, RevertedDisk, RevertPlan } from "./group-plan.ts";
import type { DiskSpec, GroupSpec } from "./group-spec.ts";
import { identityOf, readChain } from "./image-chain.ts";
import { fileJournal } from "./journal-file.ts";
import { overlayPath, stemOf } from "./names.ts";
import { createOverlay } from "./overlay-file.ts";
import { holdsData, type Qcow2Image, readIfQcow2, readQcow2 } from "./qcow2-image.ts";
import { refuseOthersOn } from "./overlays-on.ts";
import { makeClone, trialProblem } from "./reflink.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { removeFile } from "./replaced-file.ts";
import { planMemory, restoreStep } from "./restored-memory.ts";
import { isImageFree, qemuImg } from "./stopped-image.ts";

export interface RevertOptions {
  readonly snapshot: string;
  readonly kind: Kind;
  /** Where overlays and copies were put; undefined: beside their images. */
  readonly folder: string | undefined;
  /** The xl save file of the guest that comes back with its disks. */
  readonly memory: string | undefined;
  readonly nowMs: number;
}

export interface Reverted {
  readonly plan: RevertPlan;
  readonly outcome: Outcome;
}

/** All or none; of internal snapshots what was begun is finished by recover. */
export async function revertGroup(
  spec: GroupSpec,
  options: RevertOptions,
  around: Conditions,
): Promise<Reverted> {
  const { plan, reasons } = await makeRevertPlan(spec, options);
  using locks = lockImages(
    plan.disks.map(({ name, image }) => ({ name, image, identity: identityOf(image) })),
  );
  const told = [...reasons, ...locks.reasons].map((one) => `${one.subject}: ${one.message}`);
  const steps = plan.disks.map((disk): Step => ({
    name: `revert "${disk.name}"`,
    execute: () => revertDisk(plan, disk),
    update: () => checkReverted(plan, disk),
    cancel: () => undoRevert(plan, disk),
    commit: () => finishRevert(disk),
  }));
  const restore = plan.memory === null ? [] : [restoreStep(plan, plan.memory)];
  using journal = fileJournal(around.journals, plan);
  const outcome = await runTransition({
    steps: [{ name: "group", check: () => told }, ...steps, ...restore],
    journal,
    onFailure: plan.kind === "internal" ? "forward" : "cancel",
    ...(around.interrupt === undefined ? {} : { interrupt: around.interrupt }),
    ...(around.observe === undefined ? {} : { observe: around.observe }),
  });
  return { plan, outcome };
}

async function makeRevertPlan(spec: GroupSpec, options: RevertOptions) {
  const { snapshot, kind, nowMs } = options;
  const group = randomUUID();
  const reasons: Reason[] = spec.guests.map(({ name }) => ({
    subject: name,
    message: "a running guest is not taken back: stop it, and name its disks as qcow2:FILE",
  }));
  const seen = new Map<string, string>();
  const disks = spec.disks.flatMap((disk): RevertedDisk[] => {
    try {
      const identity = identityOf(disk.path);
      const other = seen.get(identity);
      if (other !== undefined) throw new SnapshotRefusal(`the image is also that of ${other}`);
      seen.set(identity, disk.path);
      if (!isImageFree(disk.path)) throw new SnapshotRefusal("a process has the disk in use");
      return [planDisk(disk, group, options)];
    } catch (error) {
      reasons.push({ subject: disk.path, message: messageOf(error) });
      return [];
    }
  });
  const made = new Date(nowMs).toISOString();
  const saved = options.memory === undefined ? undefined : await planMemory(options.memory, disks);
  if (saved !== undefined) {
    reasons.push(...saved.reasons);
    // What was begun on internal snapshots goes forward, and a guest that does not start cannot.
    const message = "the memory comes back with external snapshots or clones only";
    if (kind === "internal") reasons.push({ subject: "--memory", message });
  }
  const memory = saved?.memory ?? null;
  const plan: RevertPlan = { operation: "revert", group, snapshot, kind, made, memory, disks };
  return { plan, reasons };
}

function planDisk(disk: DiskSpec, group: string, options: RevertOptions): RevertedDisk {
  const { path, format } = disk;
  const { snapshot, kind, folder } = options;
  const about = { name: path, image: path, format, virtual_bytes: 0 };
  const staged = join(dirname(path), `.${basename(path).slice(0, 200)}.${group}`);
  if (kind === "clone") {
    const stem = stemOf(path, undefined);
    const source = overlayPath({ image: path, stem, snapshot, folder, suffix: "raw" });
    if (!existsSync(source)) throw new SnapshotRefusal(`there is no "${source}"`);
    const problem = trialProblem(source, path);
    if (problem !== undefined) throw new SnapshotRefusal(problem);
    return { ...about, id: null, staged, source, source_format: "raw", stem };
  }
  if (format !== "qcow2") throw new SnapshotRefusal("a raw disk has no snapshots to go back to");
  const chain = readChain(path);
  const [top] = chain;
  const { image } = top!; // A chain has at least its top.
  if (image === undefined) throw new SnapshotRefusal("it is not qcow2");
  const stem = stemOf(path, image.mark);
  refuseOthersOn(path, []);
  if (kind === "internal") {
    const id = internalId(image, snapshot);
    return { ...about, id, staged: null, source: null, source_format: null, stem };
  }
  const { base } = externalSnapshot(chain, snapshot);
  const bytes = base.image?.virtualBytes ?? statSync(base.path).size;
  return {
    ...about,
    virtual_bytes: bytes,
    id: null,
    staged,
    source: base.path,
    source_format: base.format,
    stem,
  };
}

function internalId({ snapshots }: Qcow2Image, snapshot: string): string {
  const named = snapshots.filter(({ name }) => name === snapshot);
  const [first] = named;
  if (first === undefined) throw new SnapshotRefusal(`it has no internal snapshot "${snapshot}"`);
  if (named.length > 1) throw new SnapshotRefusal(`it has ${named.length} snapshots "${snapshot}"`);
  if (first.vmStateBytes > 0) {
    throw new SnapshotRefusal(
      `snapshot "${snapshot}" has the guest's memory: start it with -loadvm`,
    );
  }
  return first.id;
}

/** Also for another process that goes forward. */
export async function revertDisk(plan: RevertPlan, disk: RevertedDisk): Promise<void> {
  const { image, id, staged, source, source_format: format } = disk;
  if (!isImageFree(image)) throw new SnapshotRefusal(`a process has "${image}" in use`);
  if (id !== null) {
    const isThere = readQcow2(image).snapshots.some((one) => one.id === id);
    if (!isThere) throw new SnapshotRefusal(`"${image}" has no snapshot with id ${id} any more`);
    // An id comes before a name; a path with commas in it has them doubled.
    const file = `driver=qcow2,file.driver=file,file.filename=${image.replaceAll(",", ",,")}`;
    await qemuImg(["snapshot", "-q", "--image-opts", "-a", id, file]);
    return;
  }
  if (staged === null || source === null || format === null) return;
  const { uid, gid, mode } = statSync(image);
  if (plan.kind === "clone") makeClone({ source, target: staged, owner: image });
  else {
    createOverlay({
      path: staged,
      virtualBytes: disk.virtual_bytes,
      backingFile: source,
      backingFormat: format,
      mark: { group: plan.group, snapshot: plan.snapshot, made: plan.made, stem: disk.stem },
      owner: { uid, gid, mode: mode & 0o777 },
    });
  }
  exchangeFiles(image, staged);
}

function checkReverted(plan: RevertPlan, disk: RevertedDisk): void {
  if (plan.kind !== "external") return;
  const isNew = isOfGroup(plan, disk.image) && !holdsData(disk.image);
  if (!isNew) throw new SnapshotRefusal(`"${disk.image}" is not at the snapshot`);
}

const isOfGroup = (plan: RevertPlan, path: string): boolean =>
  readIfQcow2(path)?.mark?.group === plan.group;

/** Also for another process that recovers. */
export function undoRevert(plan: RevertPlan, disk: RevertedDisk): void {
  const { image, staged } = disk;
  if (staged === null || !existsSync(staged)) return;
  if (plan.kind === "clone") {
    // The one that was made later is the copy: its time of birth tells, it was never written to.
    const isExchanged = statSync(image).birthtimeMs > statSync(staged).birthtimeMs;
    if (isExchanged) exchangeFiles(image, staged);
  } else if (isOfGroup(plan, image)) exchangeFiles(image, staged);
  removeFile(staged);
}

/** What was written since the snapshot goes for good. */
export function finishRevert({ staged }: RevertedDisk): void {
  if (staged !== null && existsSync(staged)) removeFile(staged);
}
