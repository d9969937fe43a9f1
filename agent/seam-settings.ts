// What a command that can be replaced in the middle of its stream says of itself, and what it was
// started for.

import {
  type Claimed,
  claimHandover,
  HANDOVER_VARIABLE,
  type SeamSettings,
} from "../lib/handover/index.ts";
import type { Invocation } from "./commands.ts";
import { selfCommand } from "./self.ts";
import { versionLine } from "./version.ts";

export interface Replaceable {
  /** undefined: to begin anew. */
  readonly claimed: Claimed | undefined;
  readonly settings: SeamSettings;
}

/** Once in a process. Whatever it starts later is not meant by what it was told. */
export function replaceable({ argv, spec, programName }: Invocation): Replaceable {
  const claimed = claimHandover(process.env);
  delete process.env[HANDOVER_VARIABLE];
  const settings: SeamSettings = {
    self: selfCommand(),
    argv0: programName,
    words: [...spec.name.split(" "), ...argv],
    environment: { ...process.env },
    version: versionLine(),
  };
  return { claimed, settings };
}
