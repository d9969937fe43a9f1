// Which descriptors this process has open: a test counts them before and after, to see none leak.

import { readdirSync } from "node:fs";

/** How many are open; the one that reads the folder is in every count. */
export const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** Their numbers, of any process. */
export const openDescriptorsOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/fd`).map(Number);
