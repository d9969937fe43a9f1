// The scheduling class of this process: SCHED_IDLE for work that must not slow anybody down, such
// as a program that gets ready while another one serves. On Linux the class is each thread's own,
// and the runtime has threads besides ours.

import { readdirSync, readFileSync } from "node:fs";
import { pointer, reserve } from "./arena.ts";
import { CAPABILITY, hasCapability } from "./capabilities.ts";
import { EPERM, ESRCH, systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const POLICY = { normal: 0, idle: 5 } as const;
export type SchedulingClass = keyof typeof POLICY;

const parameter = reserve(16); // struct sched_param: int priority, 0 for both.

/** The class of the calling thread; undefined for one that is neither. */
export function schedulingClass(): SchedulingClass | undefined {
  const policy = libc.sched_getscheduler(0);
  return policy === POLICY.normal ? "normal" : policy === POLICY.idle ? "idle" : undefined;
}

/**
 * Whether this process, or one with the same rights, could come back from the idle class: that
 * wants CAP_SYS_NICE in the first user namespace (capabilities(7)). RLIMIT_NICE, which would do as
 * well, is not looked at.
 */
export const canLeaveIdle = (): boolean =>
  hasCapability(CAPABILITY.sysNice) && ALL_USERS.test(readFileSync("/proc/self/uid_map", "latin1"));
/** What the first user namespace has for its map. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * Puts every thread of this process, or of another one of ours, into the class, or the first one
 * alone; threads and children to come inherit it from theirs. False where the kernel does not let
 * us (canLeaveIdle()). A process that has ended is let be.
 */
export function setSchedulingClass(
  wanted: SchedulingClass,
  pid = process.pid,
  which: "every thread" | "first thread" = "every thread",
): boolean {
  let isAllowed = true;
  parameter.view.setInt32(0, 0, true);
  for (const thread of which === "every thread" ? threadsOf(pid) : [pid]) {
    const result = libc.sched_setscheduler(thread, POLICY[wanted], pointer(parameter.address));
    const errno = result === -1 ? lastErrno() : 0;
    if (result !== -1 || errno === ESRCH) continue; // A helper thread that has just ended.
    if (errno !== EPERM) {
      const object = `thread ${thread}`;
      throw systemError("Cannot change how this process is scheduled", {
        call: "sched_setscheduler",
        errno,
        object,
      });
    }
    isAllowed = false;
  }
  return isAllowed;
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return [];
    throw error;
  }
}
