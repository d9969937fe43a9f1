// From what is there to what will be done: the plan of a group, and every reason against it.

import { randomUUID } from "node:crypto";
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { systemErrorOf } from "./file-error.ts";
import type { QemuDisk } from "./block-facts.ts";
import { type Emulator, messageOf, type OpenGroup, type Reason } from "./emulator.ts";
import type { CreatePlan, Kind, PlannedDisk, PlannedEmulator } from "./group-plan.ts";
import { GOOD_STATES } from "./guest-states.ts";
import { identityOf, readChain } from "./image-chain.ts";
import { refuseOthersOn } from "./overlays-on.ts";
import { isFileNameTooLong, overlayNode, overlayPath, problemOfName, stemOf } from "./names.ts";
import { problemOfExisting } from "./existing-overlay.ts";

export interface CreateOptions {
  readonly snapshot: string;
  readonly kind: Kind;
  /** Where overlays go; undefined: beside their images. */
  readonly folder: string | undefined;
  /** A file at an overlay's path is taken away. */
  readonly replace: boolean;
  /** Files at the overlays' paths were made by the operator and are used. */
  readonly useExisting: boolean;
  /** Guests are stopped for the switch even if there is only one. */
  readonly pause: boolean;
  /** Folder for the guests' memory. */
  readonly memory: string | undefined;
  /** An xl config that is to follow. */
  readonly config: string | undefined;
  readonly nowMs: number;
}

/** Room for an empty overlay, or for the tables of an internal snapshot. */
const ROOM_BYTES = 1024 * 1024;
const CLONE_NEEDS = "a clone is for stopped raw disks: take an external snapshot";

export interface MadePlan {
  readonly plan: CreatePlan;
  readonly reasons: readonly Reason[];
}

/** Looks at everything, changes nothing, and collects every reason. */
export function makeCreatePlan(opened: OpenGroup, options: CreateOptions): MadePlan {
  const reasons: Reason[] = [...opened.reasons];
  const group = randomUUID();
  const running = opened.emulators.filter(({ status }) => status === "running");
  const nameProblem = problemOfName(options.snapshot, options.kind);
  if (nameProblem !== undefined) reasons.push({ subject: "the snapshot", message: nameProblem });
  let index = 0;
  const emulators = opened.emulators.map((emulator): PlannedEmulator => {
    const { name, address, guestAgent, status } = emulator;
    reasons.push(...reasonsAgainst(emulator, options));
    const isGuest = address !== undefined;
    const keepsMemory = isGuest && options.memory !== undefined;
    return {
      name,
      address: address ?? null,
      guest_agent: guestAgent ?? null,
      was_running: status === "running",
      pauses: status === "running" && (running.length > 1 || options.pause || keepsMemory),
      memory: keepsMemory ? memoryPath(options, name) : null,
      disks: emulator.disks.flatMap((disk) => {
        const subject = isGuest ? `${name}: ${disk.name}` : disk.name;
        const planned = planDisk(disk, { ...options, group, index: index++, subject, reasons });
        return planned === undefined ? [] : [planned];
      }),
    };
  });
  const disks = emulators.flatMap((one) => one.disks);
  reasons.push(...crossReasons(disks, emulators, options));
  const { snapshot, kind, nowMs } = options;
  const made = new Date(nowMs).toISOString();
  const config = options.config ?? null;
  return { plan: { operation: "create", group, snapshot, kind, made, config, emulators }, reasons };
}

function reasonsAgainst({ name, status, jobs }: Emulator, { kind }: CreateOptions): Reason[] {
  const reasons: Reason[] = [];
  if (status !== undefined && !GOOD_STATES.has(status)) {
    reasons.push({ subject: name, message: `the guest is in state "${status}"` });
  }
  if (status !== undefined && kind === "clone") {
    reasons.push({ subject: name, message: CLONE_NEEDS });
  }
  if (jobs.length > 0) {
    reasons.push({ subject: name, message: `block jobs are there: ${jobs.join(", ")}` });
  }
  return reasons;
}

interface DiskContext extends CreateOptions {
  readonly group: string;
  readonly index: number;
  readonly subject: string;
  readonly reasons: Reason[];
}

function planDisk(disk: QemuDisk, context: DiskContext): PlannedDisk | undefined {
  const { reasons, subject, kind } = context;
  const against = (message: string) => void reasons.push({ subject, message });
  const { medium } = disk;
  if (medium === undefined) return against("there is no medium in the drive");
  if (medium.isReadOnly) against("the disk is read-only");
  if (medium.isEncrypted) against("the image is encrypted, which is not supported");
  if (medium.isCorrupt) against("the image is marked as corrupt: qemu-img check -r");
  if (medium.hasPersistentBitmap && kind === "external") {
    against("the image has a persistent dirty bitmap, which would keep an undo from working");
  }
  for (const message of formatReasons(medium.driver, kind)) against(message);
  const { path } = medium;
  if (path === undefined) return against("there is no file of this host behind the disk");
  if (kind === "internal") for (const one of nameReasons(medium, context)) against(one);
  try {
    return planFile(medium, { ...context, path, name: disk.name });
  } catch (error) {
    return against(messageOf(error));
  }
}

type Medium = NonNullable<QemuDisk["medium"]>;

function formatReasons(driver: string, kind: Kind): string[] {
  if (kind === "internal" && driver !== "qcow2") {
    return [`format ${driver} has no internal snapshots: take an external one`];
  }
  if (kind === "clone" && driver !== "raw") return [`format is ${driver}: ${CLONE_NEEDS}`];
  if (
    kind === "external" &&
    !["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed"].includes(driver)
  ) {
    return [`the top node is "${driver}", which is no image format`];
  }
  return [];
}

function nameReasons({ snapshots }: Medium, { snapshot }: CreateOptions): string[] {
  return snapshots.flatMap(({ id, name }) => [
    ...(name === snapshot ? [`it has a snapshot "${name}" already (id ${id})`] : []),
    ...(id === snapshot ? [`the name is the id of its snapshot "${name}"`] : []),
  ]);
}

function planFile(
  medium: Medium,
  context: DiskContext & { readonly path: string; readonly name: string },
): PlannedDisk {
  const { path, name, kind, snapshot, folder, group, index } = context;
  const chain = medium.driver === "qcow2" ? readChain(path) : [];
  for (const link of chain) {
    if (kind === "external" && link.image?.mark?.snapshot === snapshot) {
      const text = `it has a snapshot "${snapshot}" already: the image below "${link.path}"`;
      context.reasons.push({ subject: context.subject, message: text });
    }
  }
  const stem = stemOf(path, chain[0]?.image?.mark);
  const suffix = kind === "clone" ? "raw" : "qcow2";
  const target =
    kind === "internal" ? null : overlayPath({ image: path, stem, snapshot, folder, suffix });
  if (kind === "internal") refuseOthersOn(path, []);
  const isNamed = problemOfName(snapshot, kind) === undefined; // Else it makes no path.
  checkRoom(isNamed ? (target ?? path) : path);
  checkWritable(path, "file");
  const planned = {
    name,
    node: medium.node,
    image: path,
    identity: identityOf(path),
    format: medium.driver,
    virtual_bytes: medium.virtualBytes,
    target,
    target_node: kind === "external" ? overlayNode(group, index) : null,
    uses_existing: context.useExisting && kind === "external",
    moved_aside: null,
    stem,
    ids_before: medium.snapshots.map(({ id }) => id),
  };
  return target === null || !isNamed
    ? planned
    : { ...planned, ...targetState(planned, target, context) };
}

/** The name must be free, unless the operator said otherwise. */
function targetState(disk: PlannedDisk, target: string, context: DiskContext) {
  const { subject, reasons, replace, useExisting, group } = context;
  const against = (message: string) => void reasons.push({ subject, message });
  if (isFileNameTooLong(target)) against(`the name of "${target}" is too long for a file`);
  const isThere = existsSync(target);
  if (useExisting) {
    const problem = problemOfExisting(disk, target);
    if (problem !== undefined) against(problem);
    return {};
  }
  if (!isThere) return {};
  if (!replace) {
    against(`"${target}" is there already: choose another name, or --replace it`);
    return {};
  }
  const inUse = problemOfReplacing(disk, target);
  if (inUse !== undefined) against(inUse);
  return { moved_aside: `${target}.${group.slice(0, 8)}.replaced` };
}

/** What belongs to the disk itself is not replaced. */
function problemOfReplacing(disk: PlannedDisk, target: string): string | undefined {
  const identity = identityOf(target);
  const links = disk.format === "qcow2" ? readChain(disk.image) : [{ path: disk.image }];
  const isBelow = links.some(({ path }) => identityOf(path) === identity);
  return isBelow ? `"${target}" belongs to the disk itself and cannot be replaced` : undefined;
}

function checkRoom(path: string): void {
  const folder = dirname(path);
  try {
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < ROOM_BYTES) {
      const full = Object.assign(new Error("full"), { code: "ENOSPC", errno: -28 });
      throw systemErrorOf(`Cannot write to "${folder}": the disk is full`, "statfs", folder, full);
    }
  } catch (error) {
    throw systemErrorOf(`Cannot look at "${folder}"`, "statfs", folder, error);
  }
  checkWritable(folder, "folder");
}

function checkWritable(path: string, what: "file" | "folder"): void {
  try {
    accessSync(path, what === "file" ? constants.W_OK : constants.W_OK | constants.X_OK);
  } catch (error) {
    throw systemErrorOf(`Cannot write to "${path}"`, "access", path, error);
  }
}

/** What only shows when all disks stand side by side. */
function crossReasons(
  disks: readonly PlannedDisk[],
  emulators: readonly PlannedEmulator[],
  { useExisting, memory }: CreateOptions,
): Reason[] {
  const reasons: Reason[] = [];
  const repeated = (values: readonly (readonly [string, string])[], what: string) => {
    const first = new Map<string, string>();
    for (const [value, subject] of values) {
      const other = first.get(value);
      if (other === undefined) first.set(value, subject);
      else reasons.push({ subject, message: `${what} ${other}` });
    }
  };
  repeated(
    disks.map(({ identity, name }) => [identity, name]),
    "the image is also that of",
  );
  repeated(
    disks.flatMap(({ target, name }) => (target === null ? [] : [[target, name] as const])),
    "the new file would also be that of",
  );
  const tops = new Map(disks.map(({ identity, name }) => [identity, name]));
  for (const disk of disks.filter(({ format }) => format === "qcow2")) {
    for (const { path } of readChain(disk.image).slice(1)) {
      const other = tops.get(identityOf(path));
      if (other === undefined) continue;
      const message = `its backing file "${path}" is disk ${other} of the group`;
      reasons.push({ subject: disk.name, message });
    }
  }
  if (memory !== undefined) {
    for (const { memory: path, name } of emulators) {
      if (path !== null && existsSync(path)) {
        reasons.push({ subject: name, message: `"${path}" is there already` });
      }
    }
  }
  if (useExisting && disks.some(({ target }) => target === null)) {
    reasons.push({ subject: "the group", message: "--use-existing is for external snapshots" });
  }
  return reasons;
}

const memoryPath = ({ memory, snapshot }: CreateOptions, guest: string): string => {
  const name = guest.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[_.]+/, "");
  return `${memory}/${name}.${snapshot}.memory`;
};
