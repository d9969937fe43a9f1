// SIGKILL at a random moment, again and again: whatever was reported as committed is found again,
// restores to what squash gives, and the next receiver goes on in the same folder.

import { temporaryFolder } from "../helpers/temporary.ts";
import { longRemus } from "../helpers/long-remus.ts";
import { assertStands, runReceiver } from "../helpers/receiver-process.ts";
import { join } from "node:path";
import { assert } from "../../lib/base/index.ts";
import type { Random } from "./random.ts";

const STREAM = { pages: 3000, checkpoints: 24, changed: 300 } as const;
const KILLS_PER_CASE = 2;

interface Course {
  /** Until it reads, and until it has read all. */
  readonly startMs: number;
  readonly wholeMs: number;
}
let course: Course | undefined;

/** How long a receiver takes that nobody kills. */
function measured(from: string): Course {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const { elapsedMs: startMs } = runReceiver({ from: "/dev/null", to });
  const ran = runReceiver({ from, to });
  assert(ran.reported.length === STREAM.checkpoints, `it receives all: ${ran.stderr}`);
  assertStands(to, from, ran.reported);
  return { startMs, wholeMs: ran.elapsedMs };
}

export const checkpointKills = {
  name: "checkpoint_kills",
  /** A case takes half a second: it runs where it is asked for by name. */
  share: 0,
  run(random: Random): void {
    const from = longRemus(STREAM);
    course ??= measured(from);
    const { startMs, wholeMs } = course;
    using folder = temporaryFolder();
    const to = join(folder.path, "points");
    const keep = String(1 + random(4));
    const durability = random(2) === 0 ? "disk" : "memory";
    let stood = 0;
    for (let kill = 0; kill < KILLS_PER_CASE; kill++) {
      const killAfterMs = Math.floor(startMs * 0.8) + random(Math.ceil(wholeMs - startMs * 0.8));
      const words = ["--keep", keep, "--durability", durability];
      const ran = runReceiver({ from, to, killAfterMs, words });
      if (ran.reported.length > 0 || stood > 0) {
        const stands = assertStands(to, from, ran.reported);
        assert(stands >= stood, "what stood before is not lost");
        stood = stands;
      }
    }
  },
} as const;
