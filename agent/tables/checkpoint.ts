// Commands that receive and keep checkpoints: rows of the one table in commands.ts.

import type { CommandSpec } from "../command-spec.ts";

export const CHECKPOINT_COMMANDS: readonly CommandSpec[] = [];
