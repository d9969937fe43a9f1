// What QEMU says of its disks: the replies that we use, and the disks they describe.

import * as v from "valibot";
import { type Monitor, MonitorError } from "./monitor.ts";

const SnapshotInfo = v.looseObject({
  id: v.string(),
  name: v.string(),
  "vm-state-size": v.optional(v.number(), 0),
  "date-sec": v.optional(v.number(), 0),
});
const Image = v.looseObject({
  filename: v.string(),
  format: v.string(),
  "virtual-size": v.number(),
  snapshots: v.optional(v.array(SnapshotInfo), []),
  "format-specific": v.optional(
    v.looseObject({ data: v.optional(v.looseObject({ corrupt: v.optional(v.boolean(), false) })) }),
  ),
  "backing-filename": v.optional(v.string()),
});
const Bitmap = v.looseObject({ persistent: v.optional(v.boolean(), false) });
const Inserted = v.looseObject({
  "node-name": v.optional(v.string()),
  drv: v.string(),
  ro: v.boolean(),
  encrypted: v.optional(v.boolean(), false),
  file: v.string(),
  backing_file: v.optional(v.string()),
  "dirty-bitmaps": v.optional(v.array(Bitmap), []),
  image: Image,
});
const BlockEntry = v.looseObject({
  device: v.string(),
  qdev: v.optional(v.string()),
  removable: v.optional(v.boolean(), false),
  inserted: v.optional(Inserted),
});
const Blocks = v.array(BlockEntry);
const Nodes = v.array(v.looseObject({ ...Inserted.entries, "node-name": v.string() }));
export type BlockNode = v.InferOutput<typeof Nodes>[number];
const Jobs = v.array(
  v.looseObject({
    id: v.string(),
    type: v.string(),
    status: v.string(),
    "current-progress": v.optional(v.number(), 0),
    "total-progress": v.optional(v.number(), 0),
    error: v.optional(v.string()),
  }),
);
export type Job = v.InferOutput<typeof Jobs>[number];
const Status = v.looseObject({ status: v.string(), running: v.boolean() });

/** A disk as QEMU has it: a drive of the guest, or a node that was opened by name only. */
export interface QemuDisk {
  /** How messages call it. */
  readonly name: string;
  /** Everything the operator may call it. */
  readonly names: readonly string[];
  /** Undefined: a drive without a medium. */
  readonly medium:
    | {
        readonly node: string;
        readonly driver: string;
        /** Of the image file; undefined where there is no file of this host behind it. */
        readonly path: string | undefined;
        readonly virtualBytes: number;
        readonly isReadOnly: boolean;
        readonly isEncrypted: boolean;
        readonly isCorrupt: boolean;
        readonly hasPersistentBitmap: boolean;
        readonly snapshots: readonly { readonly id: string; readonly name: string }[];
      }
    | undefined;
}

/** Runs a command and checks the shape of what it returned. Throws MonitorError. */
async function ask<S extends v.GenericSchema>(
  monitor: Monitor,
  schema: S,
  command: string,
  given?: Readonly<Record<string, unknown>>,
): Promise<v.InferOutput<S>> {
  const result = v.safeParse(schema, await monitor.execute(command, given));
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = issue.path?.map(({ key }) => String(key)).join(".") ?? "";
  const what = `${command} returned something else than QEMU does at "${where}": ${issue.message}`;
  throw new MonitorError(`Cannot use ${monitor.name}: ${what}`, { failure: "lost" });
}

/**
 * All nodes, without what lies below each. QEMU 7.2 crashes on this question (a null pointer in the
 * filter node) while a stream job that has ended waits for its dismissal: then it is not asked.
 */
export async function queryNodes(monitor: Monitor): Promise<BlockNode[]> {
  const jobs = await queryJobs(monitor);
  const ended = jobs.find(({ type, status }) => type === "stream" && status === "concluded");
  if (ended === undefined) return ask(monitor, Nodes, "query-named-block-nodes", { flat: true });
  const what = `stream job "${ended.id}" has ended and waits for job-dismiss`;
  throw new MonitorError(`Cannot use ${monitor.name}: ${what}`, { failure: "refused" });
}

/** Run state, such as "running". A storage daemon has none. */
export async function queryStatus(monitor: Monitor): Promise<string> {
  return (await ask(monitor, Status, "query-status")).status;
}

/** Jobs that have not been dismissed. */
export const queryJobs = (monitor: Monitor): Promise<Job[]> => ask(monitor, Jobs, "query-jobs");

/** All drives of the guest. */
export async function queryDisks(monitor: Monitor): Promise<QemuDisk[]> {
  return (await ask(monitor, Blocks, "query-block")).map((entry) => {
    const { device, inserted } = entry;
    const id = qdevName(entry.qdev);
    const node = inserted?.["node-name"];
    const names = [device, id, entry.qdev, node].filter(
      (name) => name !== undefined && name !== "",
    ) as string[];
    const medium = inserted === undefined ? undefined : mediumOf(inserted);
    const path = medium?.path;
    return { name: names[0] ?? "?", names: [...names, ...(path ? [path] : [])], medium };
  });
}

/** A disk that is only a node: also one whose name is that of an older layer of the disk. */
export function diskOfNode(nodes: readonly BlockNode[], name: string): QemuDisk | undefined {
  const first = nodes.find((candidate) => candidate["node-name"] === name);
  if (first === undefined) return undefined;
  let node: BlockNode = first;
  for (;;) {
    const { file, ro } = node;
    const above: BlockNode | undefined = nodes.find(({ backing_file }) => backing_file === file);
    if (above === undefined || !ro) break; // What is written to is no older layer.
    node = above;
  }
  const medium = mediumOf(node);
  return { name, names: [name, node["node-name"]], medium };
}

function mediumOf(inserted: v.InferOutput<typeof Inserted>): QemuDisk["medium"] {
  return {
    node: inserted["node-name"] ?? "",
    driver: inserted.drv,
    path: localPath(inserted.file),
    virtualBytes: inserted.image["virtual-size"],
    isReadOnly: inserted.ro,
    isEncrypted: inserted.encrypted,
    isCorrupt: inserted.image["format-specific"]?.data?.corrupt ?? false,
    hasPersistentBitmap: inserted["dirty-bitmaps"].some(({ persistent }) => persistent),
    snapshots: inserted.image.snapshots.map(({ id, name }) => ({ id, name })),
  };
}

/** "/machine/peripheral/vleg/virtio-backend" is what the operator called "vleg". */
const qdevName = (qdev: string | undefined): string | undefined =>
  qdev === undefined ? undefined : (/^\/machine\/peripheral\/([^/]+)/.exec(qdev)?.[1] ?? qdev);

const JsonName = v.looseObject({
  file: v.looseObject({ driver: v.picklist(["file", "host_device"]), filename: v.string() }),
});

/** QEMU gives a plain path, or "json:{...}" where options make one file into another. */
export function localPath(file: string): string | undefined {
  if (file.startsWith("/")) return file;
  if (!file.startsWith("json:")) return undefined;
  const parsed = v.safeParse(JsonName, JSON.parse(file.slice("json:".length)));
  return parsed.success ? parsed.output.file.filename : undefined;
}
