// Run states of a guest.

/** In these its disks are its own and settled: no migration, no half-loaded state, no error. */
export const GOOD_STATES: ReadonlySet<string> = new Set([
  "running",
  "paused",
  "prelaunch",
  "suspended",
]);
