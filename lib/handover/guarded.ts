// Steps that may fail by the kernel's refusal (no descriptor or memory left, say) where nobody is
// above to catch it: in a timer, or at a socket that somebody else closes.

import { RefusedError, SystemError } from "../base/index.ts";

/** Runs the step; tells what the kernel, or we, refused. A mistake of ours is thrown on. */
export function guarded(step: () => void, onRefused: (reason: string) => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof RefusedError) && !(error instanceof SystemError)) throw error;
    onRefused(error.message);
  }
}
