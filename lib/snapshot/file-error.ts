// What the runtime's own file calls throw, as the SystemError that the rest of the house throws.

import { SystemError } from "../base/index.ts";

/** Anything but a failed system call is returned as it is. */
export function systemErrorOf(attempt: string, call: string, path: string, error: unknown) {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code !== "string" || typeof errno !== "number") return error;
  const failure = { call, code, errno: Math.abs(errno), object: `"${path}"` };
  return new SystemError(attempt, failure, { cause: error });
}
