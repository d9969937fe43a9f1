// Who runs: for tests that nobody is left behind.

import { readdirSync, readFileSync } from "node:fs";

export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly state: string;
  readonly command: string;
}

const POLICY_AT = 38; // Field 41 of /proc/PID/stat, counted behind the name: see sched(7).

/** The scheduling policy's number, of the text of a /proc/PID/stat. */
export const policyIn = (stat: string): string =>
  stat.slice(stat.lastIndexOf(")") + 2).split(" ")[POLICY_AT]!;

/** Every process that has not ended; one that waits to be reaped has. */
export function processes(): ProcessRow[] {
  const rows: ProcessRow[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const [state = "", parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const command = readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ").trim();
      if (state === "Z" || state === "X") continue;
      rows.push({
        pid: Number(name),
        parent: Number(parent),
        group: Number(group),
        state,
        command,
      });
    } catch {
      continue; // It ended meanwhile.
    }
  }
  return rows;
}

/** The members of a process group once they are none, or those left after a while. */
export async function leftBehind(group: number, waitMs: number): Promise<string[]> {
  const untilMs = performance.now() + waitMs;
  for (;;) {
    const members = processes().filter((row) => row.group === group);
    if (members.length === 0 || performance.now() > untilMs) {
      return members.map(({ pid, command }) => `${pid} ${command}`);
    }
    await Bun.sleep(10);
  }
}
