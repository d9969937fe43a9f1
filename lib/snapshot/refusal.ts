// What this room throws when it refuses: nothing was changed.

import { RefusedError } from "../base/index.ts";

export class SnapshotRefusal extends RefusedError {}
