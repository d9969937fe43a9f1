// Where a command that writes an image sends it, and what cannot go there beside it.

import { UsageError } from "../../../lib/base/index.ts";
import { isTerminal, STDOUT_FD } from "../../../lib/sys/index.ts";

export interface ImageOutput {
  readonly to: string;
  /** Then what is said about it goes to standard error. */
  readonly isStandardOutput: boolean;
}

/** Throws UsageError: no output is named, it is the terminal, or it is taken twice. */
export function imageOutput(
  command: string,
  { to, json }: { readonly to?: string | undefined; readonly json: boolean },
): ImageOutput {
  if (to === undefined) {
    throw new UsageError(`Cannot run ${command}: name the output with --to FILE, or --to -`);
  }
  const isStandardOutput = to === "-" || to === "1";
  if (isStandardOutput && json) {
    const what = "--json and the image both go to standard output";
    throw new UsageError(`Cannot run ${command}: ${what}`);
  }
  if (isStandardOutput && isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write an image to the terminal: use --to FILE");
  }
  return { to, isStandardOutput };
}
