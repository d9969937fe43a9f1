// Many clients over the store without a daemon, beside a small model of it: 25 things that happen
// in a case, each followed by a comparison of every reply and event and by a check of the whole
// arena. A million of them: --fuzzer store_core --cases 40000.

import { Simulation } from "../helpers/xenstore-simulation.ts";
import type { Fuzzer } from "./fuzzers.ts";

const STEPS = 25;

export const storeCore: Fuzzer = {
  name: "store_core",
  share: 1,
  run(random) {
    const simulation = new Simulation(random);
    for (let step = 0; step < STEPS; step++) simulation.step();
  },
};
