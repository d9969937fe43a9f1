// A file system of a given size, mounted for a test that needs a full or read-only disk.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary.ts";

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** From now on nothing can be written to it. */
  makeReadOnly(): void;
}

const mounts = (...words: string[]): boolean =>
  spawnSync(words[0] ?? "", words.slice(1), { stdio: "ignore" }).status === 0;

/** undefined where this process may not mount. */
export function smallDisk(bytes: number): SmallDisk | undefined {
  const folder = temporaryFolder();
  const path = join(folder.path, "disk");
  mkdirSync(path);
  if (!mounts("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path)) {
    folder[Symbol.dispose]();
    return undefined;
  }
  return {
    path,
    makeReadOnly() {
      if (!mounts("mount", "-o", "remount,ro", path)) throw new Error(`Cannot remount ${path}`);
    },
    [Symbol.dispose]() {
      mounts("umount", path);
      folder[Symbol.dispose]();
    },
  };
}

const canMount = ((): boolean => {
  using disk = smallDisk(64 * 1024);
  return disk !== undefined;
})();

/** For `test.skipIf`, with the reason in the title. */
export const NEEDS_MOUNT = {
  skip: !canMount,
  title: (title: string): string =>
    canMount ? title : `${title} (skipped: this process may not mount a file system)`,
} as const;
