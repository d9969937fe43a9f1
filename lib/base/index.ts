// What every other room may use of base.
export { assert, unreachable } from "./assert.ts";
export { hex, plural, roundUp, toCount } from "./convert.ts";
export { Bug, RefusedError, SystemError, UsageError } from "./errors.ts";
export type { SystemFailure } from "./errors.ts";
