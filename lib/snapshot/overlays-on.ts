// Which overlays stand on an image: found in the folders where they would be, from their headers.

import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { SystemError } from "../base/index.ts";
import { backingPath, identityOf } from "./image-chain.ts";
import { type Qcow2Image, readIfQcow2 } from "./qcow2-image.ts";
import { SnapshotRefusal } from "./refusal.ts";

export interface FoundOverlay {
  readonly path: string;
  readonly image: Qcow2Image;
}

/** All qcow2 images of a folder that name a backing file. What cannot be read is left out. */
export function overlaysIn(folder: string): FoundOverlay[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    try {
      if (!statSync(path).isFile()) return [];
      const image = readIfQcow2(path);
      return image?.backingFile === undefined ? [] : [{ path, image }];
    } catch (error) {
      const isSystem = error instanceof SystemError || (error instanceof Error && "code" in error);
      if (error instanceof SnapshotRefusal || isSystem) return [];
      throw error;
    }
  });
}

/** The identity of an overlay's backing file, if it is there. */
export function placeOfBacking(path: string, { backingFile }: Qcow2Image): string | undefined {
  if (backingFile === undefined) return undefined;
  try {
    return identityOf(backingPath(path, backingFile));
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/**
 * Throws SnapshotRefusal if another overlay than those stands on the image, in its folder or in
 * theirs: a write to the image would change what it shows.
 */
export function refuseOthersOn(path: string, allowed: readonly string[]): void {
  const identity = identityOf(path);
  const own = new Set(allowed.map(identityOf));
  for (const folder of new Set([path, ...allowed].map((one) => dirname(one)))) {
    for (const overlay of overlaysIn(folder)) {
      if (own.has(identityOf(overlay.path))) continue;
      if (placeOfBacking(overlay.path, overlay.image) !== identity) continue;
      throw new SnapshotRefusal(`"${overlay.path}" stands on "${path}" and would change with it`);
    }
  }
}
