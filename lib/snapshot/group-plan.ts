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

/**
 * How an external snapshot is deleted: the overlay into its image, or the image into the overlay.
 */
export const MERGES = ["commit", "stream"] as const;

const DeletedDiskSchema = v.object({
  name: v.string(),
  image: path,
  identity: v.string(),
  format: v.string(),
  /** Internal: what is deleted. */
  id: v.nullable(v.string()),
  /** External: the overlay above the snapshot, and the image that is the snapshot. */
  overlay: v.nullable(path),
  base: v.nullable(path),
  base_format: v.nullable(v.string()),
});
export type DeletedDisk = v.InferOutput<typeof DeletedDiskSchema>;
const DeletingEmulatorSchema = v.object({
  name: v.string(),
  address: v.nullable(AddressSchema),
  was_running: v.boolean(),
  disks: v.array(DeletedDiskSchema),
});
export type DeletingEmulator = v.InferOutput<typeof DeletingEmulatorSchema>;

export const DeletePlanSchema = v.object({
  operation: v.literal("delete"),
  group: v.pipe(v.string(), v.uuid()),
  snapshot: v.string(),
  kind: v.picklist(["external", "internal"]),
  merge: v.picklist(MERGES),
  made: v.string(),
  config: v.nullable(path),
  emulators: v.array(DeletingEmulatorSchema),
});
export type DeletePlan = v.InferOutput<typeof DeletePlanSchema>;

const RevertedDiskSchema = v.object({
  name: v.string(),
  image: path,
  format: v.string(),
  /** Internal: what it goes back to. */
  id: v.nullable(v.string()),
  /** Else the new file, which changes places with the image. */
  staged: v.nullable(path),
  /** External: the image that is the snapshot. Clone: the copy. */
  source: v.nullable(path),
  source_format: v.nullable(v.string()),
  virtual_bytes: v.number(),
  stem: v.string(),
});
export type RevertedDisk = v.InferOutput<typeof RevertedDiskSchema>;
const RevertedMemorySchema = v.object({
  /** An xl save file. */
  path,
  /** The name in its config. */
  domain: v.string(),
});
export type RevertedMemory = v.InferOutput<typeof RevertedMemorySchema>;
export const RevertPlanSchema = v.object({
  operation: v.literal("revert"),
  group: v.pipe(v.string(), v.uuid()),
  snapshot: v.string(),
  kind: v.picklist(KINDS),
  made: v.string(),
  /** A guest of libxl that is restored with the disks. */
  memory: v.optional(v.nullable(RevertedMemorySchema), null),
  disks: v.array(RevertedDiskSchema),
});
export type RevertPlan = v.InferOutput<typeof RevertPlanSchema>;

/** For messages and steps: `web: disk "vda"`; a stopped disk is its path. */
export const diskTitle = (emulator: PlannedEmulator, disk: PlannedDisk): string =>
  emulator.address === null ? `disk "${disk.name}"` : `${emulator.name}: disk "${disk.name}"`;
