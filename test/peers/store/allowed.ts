// What two daemons may tell differently, each with its reason. Everything else is a difference.

import type { Difference } from "./differ.ts";
import type { Step } from "./steps.ts";

interface Allowed {
  readonly reason: string;
  readonly fits: (step: Step, difference: Difference) => boolean;
}

/** Beside these, generation counts in replies to DIRECTORY_PART are not compared: see play.ts. */
export const ALLOWED: readonly Allowed[] = [];

export const isAllowed = (step: Step, difference: Difference): boolean =>
  ALLOWED.some(({ fits }) => fits(step, difference));
