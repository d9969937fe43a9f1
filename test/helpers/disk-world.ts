// What of a group is on the disks and in QEMU: compared before and after something that failed.

import { existsSync, readdirSync } from "node:fs";
import { readIfQcow2 } from "../../lib/snapshot/qcow2-image.ts";
import type { DiskGuest } from "./disk-guest.ts";

export interface DiskWorld {
  readonly files: readonly string[];
  /** By file: its internal snapshots. */
  readonly internal: Readonly<Record<string, readonly string[]>>;
  /** By guest and drive: the file on top. */
  readonly tops: Readonly<Record<string, string>>;
  /** Nodes of each guest that have names of ours. */
  readonly ourNodes: readonly string[];
  readonly status: readonly string[];
}

/** Sockets are left out: they belong to the guests. */
const isImage = (name: string): boolean => !/\.(qmp|own)$/.test(name);

export async function lookAt(folder: string, guests: readonly DiskGuest[]): Promise<DiskWorld> {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && isImage(entry.name))
    .map(({ name }) => name)
    .toSorted();
  const internal: Record<string, readonly string[]> = {};
  for (const name of files) {
    const image = readIfQcow2(`${folder}/${name}`);
    if (image !== undefined) internal[name] = image.snapshots.map((one) => one.name);
  }
  const tops: Record<string, string> = {};
  const ourNodes: string[] = [];
  const status: string[] = [];
  for (const guest of guests) {
    const blocks = (await guest.monitor.execute("query-block")) as Block[];
    for (const { device, inserted } of blocks) {
      tops[`${guest.qmp} ${device}`] = inserted?.file ?? "";
    }
    const nodes = (await guest.monitor.execute("query-named-block-nodes", {
      flat: true,
    })) as Node[];
    ourNodes.push(...nodes.map((node) => node["node-name"]).filter((name) => /^agent-/.test(name)));
    status.push(await guest.status());
  }
  return { files, internal, tops, ourNodes, status };
}

interface Block {
  readonly device: string;
  readonly inserted?: { readonly file: string };
}
interface Node {
  readonly "node-name": string;
}

export const journalsLeft = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder) : [];
