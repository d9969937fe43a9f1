// What snapshots there are: the images of a group as they stand on the disk, which lies on which,
// who uses them, and the snapshots inside of each.
//
// Headers tell it, not a list of ours: other overlays in the same folders are found as well, also
// those that no disk of the group stands on any more.

import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { diskOfNode, queryDisks, queryNodes } from "./block-facts.ts";
import { messageOf } from "./emulator.ts";
import type { GroupSpec, GuestSpec } from "./group-spec.ts";
import { overlaysIn, placeOfBacking } from "./overlays-on.ts";
import { backingPath, identityOf, readChain } from "./image-chain.ts";
import { type MonitorLimits, openMonitor } from "./open-monitor.ts";
import { type Qcow2Image } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";

const text = v.string();
const ImageDocument = v.strictObject({
  path: text,
  format: text,
  virtual_bytes: v.nullable(v.number()),
  used_bytes: v.pipe(v.number(), v.description("that the file takes on its disk")),
  backing: v.pipe(v.nullable(text), v.description("path of the image below")),
  snapshot: v.pipe(
    v.nullable(text),
    v.description("name of the snapshot that the image below is kept as"),
  ),
  group: v.nullable(text),
  made: v.nullable(text),
  internal: v.array(v.strictObject({ id: text, name: text, made: text, memory_bytes: v.number() })),
  users: v.pipe(
    v.array(text),
    v.description("processes that have it open, and disks on top of it"),
  ),
});
export type ListedImage = v.InferOutput<typeof ImageDocument>;
export const ListReportSchema = v.strictObject({
  images: v.array(ImageDocument),
  problems: v.array(text),
});
export type ListReport = v.InferOutput<typeof ListReportSchema>;

interface Top {
  readonly path: string;
  readonly format: string;
  readonly user: string | undefined;
}

/** Every image of the group's chains and their branches. What cannot be reached is told beside. */
export async function listGroup(spec: GroupSpec, limits: MonitorLimits): Promise<ListReport> {
  const problems: string[] = [];
  const attempt = async <T>(subject: string, run: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await run();
    } catch (error) {
      problems.push(`${subject}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const tops: Top[] = spec.disks.map((disk) => ({ ...disk, user: undefined }));
  const found = await Promise.all(
    spec.guests.map((guest) => attempt(guest.name, () => topsOf(guest, limits))),
  );
  tops.push(...found.flatMap((some) => some ?? []));
  const images = new Map<string, ListedImage>();
  for (const { path, format, user } of tops) {
    await attempt(path, () => {
      const chain = format === "qcow2" ? readChain(path) : [{ path, format, image: undefined }];
      for (const link of chain) add(images, link);
      if (user !== undefined) images.get(identityOf(path))?.users.push(user);
    });
  }
  addBranches(images);
  addProcesses(images);
  return { images: [...images.values()], problems };
}

async function topsOf(guest: GuestSpec, limits: MonitorLimits): Promise<Top[]> {
  const monitor = await openMonitor(guest.address, limits);
  try {
    const all = await queryDisks(monitor);
    const nodes = await queryNodes(monitor);
    const disks =
      guest.disks?.map((name) => {
        const disk = all.find(({ names }) => names.includes(name)) ?? diskOfNode(nodes, name);
        if (disk !== undefined) return disk;
        throw new SnapshotRefusal(`QEMU has no disk "${name}"`);
      }) ?? all;
    return disks.flatMap(({ name, medium }): Top[] => {
      if (medium?.path === undefined) return [];
      return [{ path: medium.path, format: medium.driver, user: `${guest.name}: ${name}` }];
    });
  } finally {
    await monitor.close();
  }
}

interface Link {
  readonly path: string;
  readonly format: string;
  readonly image: Qcow2Image | undefined;
}

function add(images: Map<string, ListedImage>, { path, format, image }: Link): void {
  const identity = identityOf(path);
  if (images.has(identity)) return;
  const { blocks, size } = statSync(path);
  const { backingFile, mark } = image ?? {};
  images.set(identity, {
    path,
    format,
    virtual_bytes: image?.virtualBytes ?? (format === "raw" ? size : null),
    used_bytes: blocks * 512,
    backing: backingFile === undefined ? null : backingPath(path, backingFile),
    snapshot: backingFile === undefined ? null : (mark?.snapshot ?? null),
    group: mark?.group ?? null,
    made: mark?.made ?? null,
    internal: (image?.snapshots ?? []).map(({ id, name, dateSec, vmStateBytes }) => ({
      id,
      name,
      made: new Date(dateSec * 1000).toISOString(),
      memory_bytes: vmStateBytes,
    })),
    users: [],
  });
}

/** Overlays on images of the group, in the folders where those are. */
function addBranches(images: Map<string, ListedImage>): void {
  for (;;) {
    const before = images.size;
    const folders = new Set([...images.values()].map(({ path }) => dirname(path)));
    for (const { path, image } of [...folders].flatMap(overlaysIn)) {
      const below = placeOfBacking(path, image);
      if (below !== undefined && images.has(below)) add(images, { path, format: "qcow2", image });
    }
    if (images.size === before) return;
  }
}

/** "qemu-system-x86 1234": who has an image open, as far as /proc tells. */
function addProcesses(images: Map<string, ListedImage>): void {
  const byPath = new Map([...images.values()].map((image) => [image.path, image]));
  for (const pid of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    for (const path of openPaths(pid)) {
      const image = byPath.get(path);
      const user = image === undefined ? "" : `${programOf(pid)} ${pid}`;
      if (image !== undefined && !image.users.includes(user)) image.users.push(user);
    }
  }
}

function openPaths(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  return orNothing(() => readdirSync(folder)).flatMap((fd) =>
    orNothing(() => [readlinkSync(join(folder, fd))]),
  );
}

const programOf = (pid: string): string =>
  orNothing(() => [readFileSync(`/proc/${pid}/comm`, "utf8").trim()])[0] ?? "process";

/** A process may end while one looks, and may not let everybody look. */
function orNothing(look: () => string[]): string[] {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}
