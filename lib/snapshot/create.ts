// Makes a snapshot of a group: opens everything, plans, and runs the steps as one transition.

import { runTransition, type Outcome, type TransitionEvent } from "../transition/index.ts";
import { createSteps } from "./create-steps.ts";
import { openGroup, type OpenGroup, type Reason } from "./emulator.ts";
import { lockImages } from "./group-lock.ts";
import type { CreatePlan } from "./group-plan.ts";
import type { GroupSpec } from "./group-spec.ts";
import { fileJournal } from "./journal-file.ts";
import { type CreateOptions, makeCreatePlan } from "./make-plan.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import type { Running } from "./step-context.ts";

export interface Conditions {
  readonly limits: MonitorLimits;
  /** Where journals of groups under way are. */
  readonly journals: string;
  /** Undoes what was not switched yet. */
  readonly interrupt: AbortSignal | undefined;
  observe?(event: TransitionEvent): void;
  onProgress?(progress: { readonly done: number; readonly total: number }): void;
}

export interface Created {
  readonly plan: CreatePlan;
  readonly outcome: Outcome;
  /** How long each guest stood still, in milliseconds. */
  readonly stoodMs: ReadonlyMap<string, number>;
}

export interface Planned {
  readonly plan: CreatePlan;
  readonly reasons: readonly string[];
  readonly steps: readonly (readonly string[])[];
}

const inWords = ({ subject, message }: Reason): string => `${subject}: ${message}`;

/** All or nothing; what came of it is in the outcome. */
export async function createGroup(
  spec: GroupSpec,
  options: CreateOptions,
  conditions: Conditions,
): Promise<Created> {
  await using opened = await openGroup(spec, conditions.limits);
  const { plan, reasons } = makeCreatePlan(opened, options);
  using locks = lockImages(plan.emulators.flatMap(({ disks }) => disks));
  const stoodMs = new Map<string, number>();
  const steps = stepsOf(opened, plan, [...reasons, ...locks.reasons], {
    ...conditions,
    onPaused: (guest, ms) => void stoodMs.set(guest, ms),
  });
  using journal = fileJournal(conditions.journals, plan);
  const outcome = await runTransition({
    steps,
    journal,
    onFailure: "cancel",
    ...(conditions.interrupt === undefined ? {} : { interrupt: conditions.interrupt }),
    ...(conditions.observe === undefined ? {} : { observe: conditions.observe }),
  });
  return { plan, outcome, stoodMs };
}

/** What createGroup would do, and every reason against it. Nothing is changed. */
export async function planGroup(
  spec: GroupSpec,
  options: CreateOptions,
  conditions: Conditions,
): Promise<Planned> {
  await using opened = await openGroup(spec, conditions.limits);
  const { plan, reasons } = makeCreatePlan(opened, options);
  using locks = lockImages(plan.emulators.flatMap(({ disks }) => disks));
  const steps = stepsOf(opened, plan, [...reasons, ...locks.reasons], {
    ...conditions,
    onPaused() {},
  });
  const stages = steps.map((one) => ("name" in one ? [one] : one));
  const signal = new AbortController().signal;
  const found: string[] = [];
  for (const step of stages.flat()) {
    const messages = (await step.check?.(signal)) ?? [];
    found.push(...messages.map((text) => (step.name === "group" ? text : `${step.name}: ${text}`)));
  }
  const names = stages.map((together) => together.map(({ name }) => name));
  return { plan, reasons: found, steps: names.filter(([first]) => first !== "group") };
}

function stepsOf(
  opened: OpenGroup,
  plan: CreatePlan,
  reasons: readonly Reason[],
  conditions: Conditions & { onPaused(guest: string, ms: number): void },
) {
  const running = opened.emulators.map(({ monitor }, index): Running => {
    return { emulator: plan.emulators[index]!, monitor }; // The plan is made from the same list.
  });
  return createSteps({
    plan,
    running,
    limits: conditions.limits,
    reasons: reasons.map(inWords),
    onPaused: conditions.onPaused,
    onProgress: (progress) => conditions.onProgress?.(progress),
  });
}
