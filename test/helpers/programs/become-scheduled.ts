// Goes to the idle scheduling class and back, and says after each step what its threads are.

import { readdirSync, readFileSync, writeSync } from "node:fs";
import {
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

writeSync(1, `${schedulingClass()} ${setSchedulingClass("normal")}\n`);
for (const wanted of ["idle", "normal"] as const) {
  const isAllowed = setSchedulingClass(wanted);
  const others = `threads of another class: ${othersThan(wanted)}`;
  writeSync(1, `${schedulingClass()} ${isAllowed}, ${others}\n`);
}
