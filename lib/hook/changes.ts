// Putting files in place and taking them away again: all of them or none.
//
//   plan      what every file holds now and what it shall hold. Whatever is in the way is found
//             here, before anything is touched
//   prepare   the new contents are written and synced under temporary names beside their places
//   switch    renames, one after the other. Where one fails, those done are taken back
//
// What was put where stands in a manifest under /var/lib/agent/hooks, which is written first and
// removed last: after a power failure in the middle, remove still finds everything.

import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { RefusedError } from "../base/index.ts";

export interface Change {
  /** Absolute, without the root. */
  readonly path: string;
  /** undefined: no such file. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly mode: number;
  /** The contents are right, the mode is not. */
  readonly isModeWrong?: boolean;
}

/** Makes all changes below `root`, or none. Returns the directories that were made for them. */
export function applyChanges(root: string, changes: readonly Change[]): string[] {
  const done: Change[] = [];
  const made: string[] = [];
  const wanted = changes.filter(
    ({ before, after, isModeWrong }) => before !== after || isModeWrong === true,
  );
  try {
    for (const change of wanted) prepare(root, change, made);
    for (const change of wanted) {
      put(root, change);
      done.push(change);
    }
    return made;
  } catch (error) {
    undo(root, done, made);
    for (const { path } of wanted) rmSync(temporary(root, path), { force: true });
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError(`Cannot change the files, and nothing was changed: ${why}`, {
      cause: error,
    });
  }
}

const temporary = (root: string, path: string): string => `${join(root, path)}.agent-new`;

function prepare(root: string, { path, after, mode }: Change, made: string[]): void {
  if (after === undefined) return;
  makeDirectory(root, dirname(path), made);
  const fd = openSync(temporary(root, path), "w", mode);
  try {
    writeFileSync(fd, after);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  chmodSync(temporary(root, path), mode); // Whatever the umask says.
}

function put(root: string, { path, after }: Change): void {
  if (after === undefined) rmSync(join(root, path), { force: true });
  else renameSync(temporary(root, path), join(root, path));
}

/** The former contents, in the reverse order. */
function undo(root: string, done: readonly Change[], made: readonly string[]): void {
  for (const { path, before, mode } of done.toReversed()) {
    if (before === undefined) rmSync(join(root, path), { force: true });
    else writeFileSync(join(root, path), before, { mode });
  }
  removeDirectories(root, made);
}

/** Makes it and its parents, and notes which were not there. */
function makeDirectory(root: string, path: string, made: string[]): void {
  if (existsSync(join(root, path))) return;
  makeDirectory(root, dirname(path), made);
  mkdirSync(join(root, path), { mode: 0o755 });
  made.push(path);
}

/** Inner ones first. One that others have put something in stays. */
export function removeDirectories(root: string, paths: readonly string[]): void {
  for (const path of paths.toReversed()) {
    try {
      rmdirSync(join(root, path));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "ENOTEMPTY" && code !== "ENOENT" && code !== "EEXIST") throw error;
    }
  }
}

export function contentOf(root: string, path: string): string | undefined {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** The mode that a file has; `otherwise` where there is none. */
export const modeOf = (root: string, path: string, otherwise: number): number => {
  const file = join(root, path);
  return existsSync(file) ? statSync(file).mode & 0o7777 : otherwise;
};
