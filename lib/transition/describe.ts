// An outcome in words: what failed, where, and what state each step is in now.

import type { Outcome, Problem, StepState } from "./step.ts";

/** `disk "vda": check: Device has no medium` */
export const describeProblem = ({ step, phase, message }: Problem): string =>
  `${step === undefined ? "" : `${step}: `}${phase}: ${message}`;

/** One line per state that a step is in: "cancelled: disk vda, disk vdb". */
export function describeStates({ states }: Outcome): string[] {
  const byState = new Map<StepState, string[]>();
  for (const { step, state } of states) byState.set(state, [...(byState.get(state) ?? []), step]);
  return [...byState].map(([state, steps]) => `${state}: ${steps.join(", ")}`);
}
