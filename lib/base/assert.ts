// Assertions: a condition that only our own mistake can break. They stay on in the shipped binary.
// Input is never asserted: it is checked, and answered with a StreamError or UsageError.

import { Bug } from "./errors.ts";

export function assert(condition: unknown, whatMustHold: string): asserts condition {
  if (!condition) throw new Bug(whatMustHold);
}

export function unreachable(value: never): never {
  throw new Bug(`no case for ${JSON.stringify(value)}`);
}
