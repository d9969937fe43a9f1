// Does operations on a store in the shared memory of descriptor 3 until it is killed, counting in
// the arena those that are done. SEED is the one argument.

import { writeSync } from "node:fs";
import { Fd, mapGrowingMemory } from "../../../lib/sys/index.ts";
import { adoptStore } from "../../../lib/xenstore/index.ts";
import { randomOf } from "../../fuzz/random.ts";
import { TestHost } from "../xenstore-core.ts";
import { Workload } from "../xenstore-workload.ts";

const [, , seed, steps] = process.argv;
using memory = mapGrowingMemory(new Fd(3, "the arena"));
const host = new TestHost();
const store = adoptStore(memory, host);
const workload = new Workload(store, host, randomOf(Number(seed)));
writeSync(1, "ready\n");
for (let step = 1; step <= Number(steps); step++) {
  workload.step();
  store.generation = step;
}
writeSync(1, "done\n");
