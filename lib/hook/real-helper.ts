// Where the real save helper is: what AGENT_REAL_SAVE_HELPER names, else the one that came with the
// Xen that runs.

import { existsSync, globSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { RefusedError } from "../base/index.ts";

const REAL_HELPER_VARIABLE = "AGENT_REAL_SAVE_HELPER";
const NAME = "libxl-save-helper";

/** Debian has a folder for each Xen, and more than one of them may be installed. */
const VERSION_FOLDERS = "usr/lib/xen-*/bin";
const FOLDERS = [
  "usr/libexec/xen/bin",
  "usr/lib/xen/bin",
  "usr/lib64/xen/bin",
  "usr/local/libexec/xen/bin",
  "usr/local/lib/xen/bin",
] as const;

export interface HelperPlace {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What all paths but the variable's are below: "/" but in tests. */
  readonly root: string;
  /** Our own executable, which must not call itself. */
  readonly self: string;
}

/** Throws RefusedError where there is none. */
export function findRealHelper({ environment, root, self }: HelperPlace): string {
  const named = environment[REAL_HELPER_VARIABLE];
  if (named !== undefined && named !== "") {
    if (isUsable(named, self)) return named;
    throw new RefusedError(
      `Cannot run the save helper "${named}" that ${REAL_HELPER_VARIABLE} names: ` +
        "wanted another program than agent, found none",
    );
  }
  const candidates = [...versioned(root), ...FOLDERS.map((folder) => join(root, folder))].map(
    (folder) => join(folder, NAME),
  );
  const found = candidates.find((path) => isUsable(path, self));
  if (found !== undefined) return found;
  throw new RefusedError(
    `Cannot find Xen's own ${NAME}: wanted one of ${candidates.join(", ")}; name it in ` +
      REAL_HELPER_VARIABLE,
  );
}

const isUsable = (path: string, self: string): boolean =>
  existsSync(path) && realpathSync(path) !== realpathSync(self);

/** The folder of the Xen that runs first, then the others, newest first. */
function versioned(root: string): string[] {
  const folders = globSync(join(root, VERSION_FOLDERS)).sort(byVersionDownwards);
  const running = runningVersion(root);
  if (running === undefined) return folders;
  const own = join(root, VERSION_FOLDERS.replace("*", running));
  return [own, ...folders.filter((folder) => folder !== own)];
}

const byVersionDownwards = (left: string, right: string): number =>
  right.localeCompare(left, "en", { numeric: true });

/** "4.20", or undefined where no Xen runs. */
function runningVersion(root: string): string | undefined {
  const folder = join(root, "sys/hypervisor/version");
  const [major, minor] = ["major", "minor"].map((name) => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, "latin1").trim() : undefined;
  });
  return major === undefined || minor === undefined ? undefined : `${major}.${minor}`;
}
