// Names of snapshots, overlay files and nodes: how they are made, and which are refused.

import { basename, dirname, join } from "node:path";
import type { OverlayMark } from "./qcow2-image.ts";

/** qcow2 cuts longer names without a word. */
const NAME_BYTES_MAX = 255;
/** A file name has 255 bytes, and an overlay's has the disk's stem and ".qcow2" in it too. */
const FILE_NAME_BYTES_MAX = 255;

/** "vm-20261121133000", in UTC: local time repeats an hour a year. */
export function timeName(nowMs: number): string {
  const digits = new Date(nowMs).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return `vm-${digits}`;
}

/** Why a snapshot may not be called so, or undefined. */
export function problemOfName(name: string, kind: "external" | "internal" | "clone") {
  if (name === "") return "a snapshot's name is empty";
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    return `the name has ${Buffer.byteLength(name)} bytes, wanted at most ${NAME_BYTES_MAX}`;
  }
  if (/^[0-9]+$/.test(name)) {
    return `the name "${name}" is all digits and would be taken for an id`;
  }
  // oxlint-disable-next-line no-control-regex -- they are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(name)) return "the name has control characters in it";
  if (kind !== "internal" && !/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name)) {
    return `the name "${name}" becomes part of file names: wanted letters, digits, ".", "_", "-"`;
  }
  return undefined;
}

const SUFFIX = /\.(qcow2|qcow|img|raw)$/i;

/** What an image's overlays are called after. */
export const stemOf = (image: string, mark: OverlayMark | undefined): string =>
  mark?.stem ?? basename(image).replace(SUFFIX, "");

/** "/srv/web.qcow2" and "s1" give "/srv/web.s1.qcow2". */
export const overlayPath = (options: {
  readonly image: string;
  readonly stem: string;
  readonly snapshot: string;
  readonly folder: string | undefined;
  readonly suffix: "qcow2" | "raw";
}): string => {
  const { image, stem, snapshot, folder, suffix } = options;
  return join(folder ?? dirname(image), `${stem}.${snapshot}.${suffix}`);
};

export const isFileNameTooLong = (path: string): boolean =>
  Buffer.byteLength(basename(path)) > FILE_NAME_BYTES_MAX;

/** Of an overlay's node: QEMU takes 31 bytes, a letter first. `group` is a UUID. */
export const overlayNode = (group: string, index: number): string =>
  `agent-${group.slice(0, 8)}-${index}`;
