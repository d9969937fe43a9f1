// Goes to the idle scheduling class and back, and says after each step what its threads are; first,
// whether it could come back at all.

import { readdirSync, readFileSync, writeSync } from "node:fs";
import {
  canLeaveIdle,
  schedulingClass,
  type SchedulingClass,
  setSchedulingClass,
} from "../../../lib/sys/index.ts";

const POLICY_AT = 38; // Field 41 of /proc/PID/stat, counted behind the name.
const NUMBER: Readonly<Record<SchedulingClass, string>> = { normal: "0", idle: "5" };

function othersThan(wanted: SchedulingClass): number {
  return readdirSync("/proc/self/task").filter((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[POLICY_AT] !== NUMBER[wanted];
  }).length;
}

writeSync(1, `${canLeaveIdle()}\n`);
writeSync(1, `${schedulingClass()} ${setSchedulingClass("normal")}\n`);
for (const [wanted, which] of [
  ["idle", "every thread"],
  ["normal", "first thread"],
  ["normal", "every thread"],
] as const) {
  const isAllowed = setSchedulingClass(wanted, process.pid, which);
  const others = `threads of another class: ${othersThan(wanted)}`;
  writeSync(1, `${schedulingClass()} ${isAllowed}, ${others}\n`);
}
