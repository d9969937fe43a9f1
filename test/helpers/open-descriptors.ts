// Which descriptors this process has open: a test notes them before and asks after what is left.
// A count would not do: the runtime opens and closes some of its own in between.

import { readdirSync, readlinkSync } from "node:fs";

/** What is open, each as its number and what it is of. */
export const openDescriptors = (): ReadonlySet<string> =>
  new Set(readdirSync("/proc/self/fd").flatMap(described));

/** What is open now and was not in `before`. */
export const openedSince = (before: ReadonlySet<string>): string[] =>
  [...openDescriptors()].filter((descriptor) => !before.has(descriptor));

/** Their numbers, of any process. */
export const openDescriptorsOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/fd`).map(Number);

function described(fd: string): string[] {
  try {
    return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
  } catch {
    return []; // The one that read the folder.
  }
}
