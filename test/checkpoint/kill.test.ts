// kill -9 at random moments under load; hundreds of them by `bun run soak --fuzzer checkpoint_kills
// --cases 300`.

import { test } from "bun:test";
import { checkpointKills } from "../fuzz/checkpoint-fuzzer.ts";
import { runCases } from "../fuzz/run-cases.ts";

const CASES = 10; // Two kills each.

test("what was committed survives SIGKILL at any moment", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
  runCases({ fuzzer: checkpointKills, seed, cases: CASES, onProgress: () => undefined });
}, 60_000);
