// What the steps of a group are made from.

import type { CreatePlan, PlannedEmulator } from "./group-plan.ts";
import type { Monitor } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";

export interface Running {
  readonly emulator: PlannedEmulator;
  readonly monitor: Monitor;
}

export interface StepContext {
  readonly plan: CreatePlan;
  readonly running: readonly Running[];
  readonly limits: MonitorLimits;
  readonly reasons: readonly string[];
  /** Told how long each guest stood still. */
  onPaused(guest: string, stoodMs: number): void;
  onProgress(progress: { readonly done: number; readonly total: number }): void;
}
