// Copies by reflink that appear whole or not at all.

import { fchmodSync, fchownSync, statSync } from "node:fs";
import { cloneFile, createNewFile, openForReading } from "../sys/index.ts";
import { SnapshotRefusal } from "./refusal.ts";

/** A trial on an unnamed file: only the file system knows whether it can. */
export function trialProblem(source: string, target: string): string | undefined {
  using from = openForReading(source);
  using trial = createNewFile({ path: `${target}.trial`, existing: "refuse", inputs: [] });
  if (cloneFile(from, trial.fd)) return undefined;
  return `"${source}" and "${target}" are not on one file system with reflinks (btrfs, XFS)`;
}

/** The copy belongs to whom `owner` belongs. Throws SystemError or SnapshotRefusal. */
export function makeClone(options: {
  readonly source: string;
  readonly target: string;
  readonly owner: string;
}): void {
  const { source, target, owner } = options;
  using from = openForReading(source);
  using copy = createNewFile({ path: target, existing: "refuse", inputs: [] });
  const { uid, gid, mode } = statSync(owner);
  fchownSync(copy.fd.number, uid, gid);
  fchmodSync(copy.fd.number, mode & 0o777);
  if (!cloneFile(from, copy.fd)) {
    throw new SnapshotRefusal(`Cannot clone "${source}": its file system has no reflinks`);
  }
  copy.commit();
}
