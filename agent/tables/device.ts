// Commands for the state of vhost-user devices: rows of the one table in commands.ts.

import type { CommandSpec } from "../command-spec.ts";

export const DEVICE_COMMANDS: readonly CommandSpec[] = [];
