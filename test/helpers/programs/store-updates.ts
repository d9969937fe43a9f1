// Updates of our store daemon in a row, each way at random, under clients that account for every
// reply and event: store-updates SEED UPDATES CLIENTS. Prints what was done; ends with status 1,
// saying why, where something was lost or left behind.

import { builtBinary } from "../binary.ts";
import { countAtRest, descriptorsOf } from "../echo-process.ts";
import { unitRandom } from "../pieces.ts";
import { StoreLoad } from "../store-load.ts";
import { startServe } from "../store-serve.ts";
import { controlOf, killAll, settledPids, updateStore } from "../store-update.ts";

const STOP_MS = 60_000;
const SETTLE_MS = 5000;
const WAYS = ["promote", "in-place"] as const;

const [seed = 0, updates = 0, clients = 0] = process.argv.slice(2).map(Number);
const daemon = startServe({ program: "binary", words: [] });
const { socket } = daemon;
try {
  const [first = 0] = await settledPids(socket);
  const before = await countAtRest(first);
  const load = await StoreLoad.start(socket, clients, seed);
  const random = unitRandom(seed);
  for (let update = 1; update <= updates; update++) {
    const way = WAYS[Math.floor(random() * WAYS.length)]!; // Below the length.
    // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
    const outcome = await updateStore(socket, { binary: builtBinary(), way });
    const generation = "report" in outcome ? outcome.report.generation : undefined;
    if (outcome.kind !== "updated" || generation !== update) {
      throw new Error(`update ${update}, ${way}: ${JSON.stringify(outcome)}`);
    }
    if (load.mistakes.length > 0) throw new Error(`update ${update}: ${load.mistakes.join("; ")}`);
  }
  await load.stop(STOP_MS);
  const wrong = [...load.mistakes, ...(load.closed > 0 ? [`${load.closed} were closed`] : [])];
  const checked = await controlOf(socket, "check");
  if (checked !== "OK") wrong.push(`check: ${checked}`);
  const [last = 0, ...others] = await settledPids(socket);
  if (others.length > 0) wrong.push(`${others.length} processes are left`);
  const untilMs = performance.now() + SETTLE_MS;
  const gained = (): number => descriptorsOf(last).length - before;
  // oxlint-disable-next-line no-await-in-loop -- as above.
  while (performance.now() < untilMs && gained() !== 0) await Bun.sleep(10);
  if (gained() !== 0) wrong.push(`${gained()} descriptors more than before`);
  if (wrong.length > 0) throw new Error(wrong.join("; "));
  console.log(`${updates} updates, ${clients} clients, ${load.commits} transactions`);
} finally {
  killAll(socket);
  daemon[Symbol.dispose]();
}
process.exit(0); // The load's own timer would be waited for.
