// Commands for snapshots of groups of disks: rows of the one table in commands.ts.

import type { CommandSpec } from "../command-spec.ts";

export const SNAPSHOT_COMMANDS: readonly CommandSpec[] = [];
