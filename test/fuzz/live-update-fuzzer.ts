// A thousand live updates of the store daemon in a row, both ways mixed, under a hundred clients.
// The tests of the daemon do a few of them; this is for the soak:
//
//   bun run soak --fuzzer live_updates --cases 1
//   bun run soak --fuzzer live_update_signals --cases 200

import { programCommand } from "../helpers/run.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { pick, type Random } from "./random.ts";

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

const WAKE_UPS = 14;
const ROLES = { promote: ["old", "new"], in_place: ["old", "new", "keeper"] } as const;

/** A signal to any process at any of its wake-ups. */
export const liveUpdateSignals: Fuzzer = {
  name: "live_update_signals",
  share: 0, // A second each: by its name.
  run(random: Random) {
    const way = pick(random, ["promote", "in_place"] as const);
    const role = pick(random, ROLES[way] as readonly string[]);
    const words = [pick(random, ["end", "stop"]), way, role, String(1 + random(WAKE_UPS))];
    const { exitCode, stderr } = Bun.spawnSync(programCommand("signalled-update", ...words));
    if (exitCode !== 0) throw new Error(`signalled-update ${words.join(" ")}: ${stderr}`);
  },
};
