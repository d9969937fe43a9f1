// A group snapshot as most tests want it, and the plan of one: what matters to a test it says.

import type { PlannedEmulator } from "../../lib/snapshot/group-plan.ts";
import type { CreateOptions, CreatePlan } from "../../lib/snapshot/index.ts";

/** External, named s1; nothing is replaced, nobody paused. */
export const createOptions = (more: Partial<CreateOptions> = {}): CreateOptions => ({
  snapshot: "s1",
  kind: "external",
  folder: undefined,
  replace: false,
  useExisting: false,
  pause: false,
  memory: undefined,
  config: undefined,
  nowMs: Date.now(),
  ...more,
});

export const createPlan = (emulators: readonly PlannedEmulator[]): CreatePlan => ({
  operation: "create",
  group: "0b1f5c5e-5a52-4c8c-9a31-6f0d5b9f0a11",
  snapshot: "s1",
  kind: "external",
  made: "2026-01-01T00:00:00.000Z",
  config: null,
  emulators: [...emulators],
});
