// Goes to the idle scheduling class, the urgent one and back, and says after each step what its
// threads are; first, whether it may do so at all, last, what a child of an urgent one is.

import { readdirSync, readFileSync, writeSync } from "node:fs";
import {
  canChooseClass,
  schedulingClass,
  type SchedulingClass,
  setSchedulingClass,
} from "../../../lib/sys/index.ts";
import { policyIn } from "../processes.ts";

const NUMBER: Readonly<Record<SchedulingClass, string>> = { normal: "0", idle: "5", urgent: "2" };

function othersThan(wanted: SchedulingClass): number {
  return readdirSync("/proc/self/task").filter((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "latin1");
    return policyIn(stat) !== NUMBER[wanted];
  }).length;
}

writeSync(1, `${canChooseClass()}\n`);
writeSync(1, `${schedulingClass()} ${setSchedulingClass("normal")}\n`);
for (const [wanted, which] of [
  ["idle", "every thread"],
  ["normal", "first thread"],
  ["urgent", "first thread"],
  ["normal", "every thread"],
] as const) {
  const isAllowed = setSchedulingClass(wanted, process.pid, which);
  const others = `threads of another class: ${othersThan(wanted)}`;
  writeSync(1, `${schedulingClass()} ${isAllowed}, ${others}\n`);
}
setSchedulingClass("urgent", process.pid, "first thread");
const child = Bun.spawnSync(["cat", "/proc/self/stat"]).stdout.toString();
writeSync(1, `child: ${policyIn(child)}\n`);
