// How this program starts itself again: for what needs a second process of ours.

import { cleanEnvironment } from "../lib/sys/index.ts";
import { TARGET } from "./version.ts";

export interface SelfCommand {
  readonly executable: string;
  /** What stands before the command's name: from source the main script, when compiled nothing. */
  readonly words: readonly string[];
  /** Without the variables that would make the runtime run something else. */
  readonly environment: Record<string, string>;
}

export const selfCommand = (): SelfCommand => ({
  executable: process.execPath,
  words: TARGET === "source" ? [`${import.meta.dir}/main.ts`] : [],
  environment: cleanEnvironment(process.env),
});
