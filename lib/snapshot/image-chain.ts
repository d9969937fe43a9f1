// The chain of an image: itself and the images below it, read from their headers.

import { realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { systemErrorOf } from "./file-error.ts";
import { type Qcow2Image, readQcow2 } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";

/** QEMU has no limit; a chain of this length is a mistake. */
const CHAIN_LENGTH_MAX = 200;

export interface ChainLink {
  readonly path: string;
  readonly format: string;
  /** undefined: not qcow2. */
  readonly image: Qcow2Image | undefined;
}

/** The file itself, whatever path leads to it: "dev:ino". Throws SystemError. */
export function identityOf(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    throw systemErrorOf(`Cannot read "${path}"`, "stat", path, error);
  }
}

/**
 * Of a qcow2 image, top first. Throws SystemError or SnapshotRefusal: where a link is missing,
 * damaged, without a format (QEMU would guess it from bytes that the guest wrote) or its own base.
 */
export function readChain(top: string): ChainLink[] {
  const chain: ChainLink[] = [];
  const seen = new Set<string>();
  let next: { readonly path: string; readonly format: string } = { path: top, format: "qcow2" };
  for (;;) {
    const { path, format } = next;
    const identity = identityOf(path);
    const bad = (what: string) => new SnapshotRefusal(`Cannot use the chain of "${top}": ${what}`);
    if (seen.has(identity)) throw bad(`"${path}" is below itself`);
    if (chain.length >= CHAIN_LENGTH_MAX) throw bad(`it has more than ${CHAIN_LENGTH_MAX} images`);
    seen.add(identity);
    const image = format === "qcow2" ? readQcow2(path) : undefined;
    chain.push({ path, format, image });
    if (image?.isCorrupt === true) throw bad(`"${path}" is marked as corrupt`);
    if (image?.backingFile === undefined) return chain;
    if (image.backingFormat === undefined) {
      throw bad(`"${path}" names a backing file but not its format`);
    }
    next = { path: backingPath(path, image.backingFile), format: image.backingFormat };
  }
}

/** A relative name begins at the folder of the image that has it. */
export const backingPath = (image: string, backingFile: string): string =>
  resolve(dirname(realpathSync(image)), backingFile.replace(/^file:/, ""));
