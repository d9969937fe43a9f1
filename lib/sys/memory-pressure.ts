// Who is to end where the kernel has no memory left, and whether it has ended somebody: the badness
// of a process (proc(5), oom_score_adj), and what its control group (v1 or v2) has counted.

import { readFileSync, writeFileSync } from "node:fs";

/** The first to be ended. */
export const OOM_SCORE_FIRST = 1000;
const GROUPS = "/sys/fs/cgroup";

/** undefined where it cannot be read: the process is gone, or there is no /proc. */
export function oomScoreOf(pid: number): number | undefined {
  const text = textOf(`/proc/${pid}/oom_score_adj`);
  return text === undefined ? undefined : Number(text);
}

/** Does nothing where it may not be set, or the process is gone. */
export function setOomScore(pid: number, score: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/** Processes of this one's control group that were ended for lack of memory, ever. */
export function oomKills(): number {
  const lines = (textOf("/proc/self/cgroup") ?? "").split("\n");
  const counts = lines.map((line) => {
    const [, controllers = "", ...rest] = line.split(":");
    const path = rest.join(":");
    if (controllers === "") return countIn(`${GROUPS}${path}/memory.events`);
    const isMemory = controllers.split(",").includes("memory");
    return isMemory ? countIn(`${GROUPS}/memory${path}/memory.oom_control`) : 0;
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

const countIn = (path: string): number =>
  Number(/^oom_kill (\d+)$/m.exec(textOf(path) ?? "")?.[1] ?? 0);

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // There is none.
  }
}
