// Making the folders that a path needs, and taking a name away, with our errors.

import { mkdirSync, unlinkSync } from "node:fs";
import { ENOENT, systemError } from "./errno.ts";

/** Makes the folder and those above it, where they are missing. Throws SystemError. */
export function makeFolders(path: string): void {
  attempt(`Cannot make folder "${path}"`, { call: "mkdir", object: `"${path}"` }, () => {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  });
}

/** Takes the name away; one that is not there is fine. Throws SystemError. */
export function removeName(path: string): void {
  attempt(`Cannot remove "${path}"`, { call: "unlink", object: `"${path}"` }, () => {
    try {
      unlinkSync(path);
    } catch (error) {
      if (errnoOf(error) !== ENOENT) throw error;
    }
  });
}

/** The runtime gives errno as the kernel does: negative. */
function errnoOf(error: unknown): number | undefined {
  const { errno } = error as { readonly errno?: unknown };
  return typeof errno === "number" ? Math.abs(errno) : undefined;
}

function attempt(
  what: string,
  failed: { readonly call: string; readonly object: string },
  step: () => void,
): void {
  try {
    step();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw systemError(what, { ...failed, errno });
  }
}
