// Steps that may fail by the kernel's refusal (no descriptor or memory left, say) where nobody is
// above to catch it: in a timer, or at a socket that somebody else closes.

import { RefusedError, SystemError } from "../base/index.ts";

/** Runs the step; tells what the kernel, or we, refused. A mistake of ours is thrown on. */
export function guarded(step: () => void, onRefused: (reason: string) => void): void {
  try {
    step();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    onRefused(error.message);
  }
}

/** The runtime's own calls (starting a process, reading /proc) name the errno as their code. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof RefusedError ||
  error instanceof SystemError ||
  (error instanceof Error && "code" in error && typeof error.code === "string");

/** The same, for callers that expect a RefusedError. */
export function refusing<T>(attempt: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!isRefusal(error) || error instanceof RefusedError) throw error;
    throw new RefusedError(`${attempt}: ${error.message}`, { cause: error });
  }
}
