// Runs one snapshot command of the library and kills a process when a certain event has come: for
// faults at a point that no signal from outside could hit.
//
// The one argument is JSON, see SnapshotProgram.

import {
  type Conditions,
  createGroup,
  deleteGroup,
  groupFromWords,
  revertGroup,
} from "../../../lib/snapshot/index.ts";
import type { TransitionEvent } from "../../../lib/transition/index.ts";

export interface SnapshotProgram {
  readonly operation: "create" | "delete" | "revert";
  readonly words: readonly string[];
  readonly journals: string;
  readonly snapshot: string;
  readonly kind: "external" | "internal" | "clone";
  readonly memory?: string;
  /** For overlays. */
  readonly folder?: string;
  readonly pause?: boolean;
  /** Kills us at an event, counted from 0. */
  readonly killAt?: number;
  /** Kills that process at `killAt`, and not us. */
  readonly killPid?: number;
  /** Kills us at a moment that is none of ours. */
  readonly killAfterMs?: number;
  /** Does something to the world when that event comes. */
  readonly runAt?: { readonly event: string; readonly command: readonly string[] };
  readonly replyMs?: number;
  readonly greetingMs?: number;
}

const program = JSON.parse(process.argv[2] ?? "") as SnapshotProgram;
const { operation, words, journals, snapshot, kind, killAt, runAt } = program;

let count = 0;
const told: string[] = [];
function observe(event: TransitionEvent): void {
  const { kind: what } = event;
  const name = what === "journal" ? event.record : `${what} ${event.phase} ${event.step}`;
  if (name === runAt?.event) Bun.spawnSync([...runAt.command]);
  told.push(name);
  if (count++ === killAt) process.kill(program.killPid ?? process.pid, "SIGKILL");
}
if (program.killAfterMs !== undefined) {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), program.killAfterMs);
}

const around: Conditions = {
  limits: { greetingMs: program.greetingMs ?? 2000, replyMs: program.replyMs ?? 5000 },
  journals,
  interrupt: undefined,
  observe,
};
const group = groupFromWords(words);
const nowMs = Date.now();
const shared = { snapshot, nowMs, config: undefined };

async function run() {
  switch (operation) {
    case "create":
      return createGroup(
        group,
        {
          ...shared,
          kind,
          folder: program.folder,
          replace: false,
          useExisting: false,
          pause: program.pause ?? false,
          memory: program.memory,
        },
        around,
      );
    case "delete": {
      const merged = kind === "clone" ? "external" : kind;
      return deleteGroup(
        group,
        { ...shared, kind: merged, merge: "commit", id: undefined },
        around,
      );
    }
    case "revert":
      return revertGroup(
        group,
        { snapshot, kind, folder: undefined, memory: undefined, nowMs },
        around,
      );
  }
}

const { outcome } = await run();
console.log(JSON.stringify({ ...outcome, told }));
