// The name of this process as ps and top show it ("comm"): an exec sets it to the last part of the
// path that was executed, which says little where that is a descriptor's.

import { readFileSync } from "node:fs";
import { cPath } from "./arena.ts";
import { libc } from "./libc.ts";

const PR_SET_NAME = 15;

export const processName = (): string => readFileSync("/proc/self/comm", "utf8").trimEnd();

/** Of another process; undefined for one that has ended. */
export function processNameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

/** At most 15 bytes; the kernel cuts what is longer. */
export const setProcessName = (name: string): void =>
  // It can only fail for a bad address.
  void libc.prctl(PR_SET_NAME, Number(cPath(name)), 0, 0, 0);
