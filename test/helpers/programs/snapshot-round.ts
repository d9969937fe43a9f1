// One group snapshot that is killed somewhere, by a seed: agent at an event or at any moment, or
// the QEMU of one guest. Ends with 1 and what is wrong unless all disks have the snapshot or none
// has.
//
// Arguments: a number below 2^32.

import { randomNumbers } from "../pieces.ts";
import { journalsLeft, lookAt } from "../disk-world.ts";
import { makeArena, recover, runProgram, verdict } from "../snapshot-faults.ts";

const EVENTS_MAX = 120;
const MOMENT_MS_MAX = 250;

const random = randomNumbers(Number(process.argv[2]));
const kind = random(2) === 0 ? "external" : "internal";
const guests = 1 + random(3);
const formats = Array.from({ length: 1 + random(3) }, () => "qcow2" as const);
await using arena = await makeArena({ formats, guests, hasStopped: random(2) === 0 });
for (const guest of arena.guests) await guest.write("d0", 7);
const victim = random(3) === 0 && guests > 1 ? arena.guests.at(-1) : undefined;
const living = arena.guests.filter((guest) => guest !== victim);

const before = await lookAt(arena.folder, living);
const moment = random(MOMENT_MS_MAX);
const event = random(EVENTS_MAX);
const isMoment = victim === undefined && random(3) === 0;
const ran = await runProgram({
  operation: "create",
  kind,
  snapshot: "s1",
  words: await arena.words(),
  journals: arena.journals,
  ...(isMoment ? { killAfterMs: moment } : { killAt: event }),
  ...(victim === undefined ? {} : { killPid: victim.pid }),
});
const recovered = await recover(arena.journals);
const after = await lookAt(arena.folder, living);
const disks = arena.guests.flatMap((guest) => guest.disks).length + arena.stopped.length;
const found = verdict({ before, after, snapshot: "s1", kind, disks });
const left = journalsLeft(arena.journals);
const isWhole = await living[0]!.holds("d0", 7);
if (!["all", "none"].includes(found) || left.length > 0 || !isWhole || ran.stderr !== "") {
  const place = isMoment ? `${moment} ms` : `event ${event}`;
  console.error(
    `${kind}, ${guests} guests, ${victim ? "a QEMU" : "agent"} killed at ${place}: ${found}`,
  );
  console.error(JSON.stringify({ ran, recovered, left, isWhole }));
  process.exitCode = 1;
}
