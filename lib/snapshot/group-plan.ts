// The plan of a group: everything that will be done, with all names, before anything is. It is what
// the journal keeps, so that another process can finish or undo it, and what `agent snapshot plan`
// shows.

import * as v from "valibot";

export const KINDS = ["external", "internal", "clone"] as const;
export type Kind = (typeof KINDS)[number];

const path = v.pipe(v.string(), v.startsWith("/"));
const AddressSchema = v.variant("kind", [
  v.object({ kind: v.literal("qmp"), path }),
  v.object({ kind: v.literal("libxl"), domid: v.number(), path }),
  v.object({ kind: v.literal("virsh"), domain: v.string(), uri: v.nullable(v.string()) }),
]);

const DiskSchema = v.object({
  name: v.string(),
  /** Of its root before the snapshot; QEMU also takes it where it wants a device. */
  node: v.string(),
  image: path,
  /** "dev:ino" of the image. */
  identity: v.string(),
  format: v.string(),
  virtual_bytes: v.number(),
  /** External: the new top. Clone: the copy. Internal: null. */
  target: v.nullable(path),
  target_node: v.nullable(v.string()),
  /** The target is a file that the operator made. */
  uses_existing: v.boolean(),
  /** Where a file that stands at the target's path waits until there is no way back. */
  moved_aside: v.nullable(path),
  stem: v.string(),
  /** Internal: snapshots that were there before, by id. */
  ids_before: v.array(v.string()),
});
export type PlannedDisk = v.InferOutput<typeof DiskSchema>;

const EmulatorSchema = v.object({
  name: v.string(),
  /** null: disks that no guest runs on. */
  address: v.nullable(AddressSchema),
  guest_agent: v.nullable(path),
  was_running: v.boolean(),
  /** Whether it is stopped while all guests of the group switch. */
  pauses: v.boolean(),
  /** Where the guest's memory goes. */
  memory: v.nullable(path),
  disks: v.array(DiskSchema),
});
export type PlannedEmulator = v.InferOutput<typeof EmulatorSchema>;

export const CreatePlanSchema = v.object({
  operation: v.literal("create"),
  /** A UUID: in the mark of each overlay, in node names, in the journal's name. */
  group: v.pipe(v.string(), v.uuid()),
  snapshot: v.string(),
  kind: v.picklist(KINDS),
  made: v.string(),
  /** An xl config that follows its disks. */
  config: v.nullable(path),
  emulators: v.array(EmulatorSchema),
});
export type CreatePlan = v.InferOutput<typeof CreatePlanSchema>;

/** For messages and steps: `web: disk "vda"`; a stopped disk is its path. */
export const diskTitle = (emulator: PlannedEmulator, disk: PlannedDisk): string =>
  emulator.address === null ? `disk "${disk.name}"` : `${emulator.name}: disk "${disk.name}"`;
