// A thousand live updates of the store daemon in a row, both ways mixed, under a hundred clients.
// The tests of the daemon do a few of them; this is for the soak:
//
//   bun run soak --fuzzer live_updates --cases 1

import { programCommand } from "../helpers/run.ts";
import type { Fuzzer } from "./fuzzers.ts";
import type { Random } from "./random.ts";

const UPDATES = 1000;
const CLIENTS = 100;
const SEED_END = 2 ** 20;

export const liveUpdates: Fuzzer = {
  name: "live_updates",
  share: 0, // Many minutes each: by its name.
  run(random: Random) {
    const numbers = [random(SEED_END), UPDATES, CLIENTS].map(String);
    const { exitCode, stderr } = Bun.spawnSync(programCommand("store-updates", ...numbers));
    if (exitCode !== 0) throw new Error(`store-updates ${numbers.join(" ")}: ${stderr}`);
  },
};
