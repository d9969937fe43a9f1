// Commands around the xenstore daemon: rows of the one table in commands.ts.

import type { CommandSpec } from "../command-spec.ts";

export const STORE_COMMANDS: readonly CommandSpec[] = [];
