// The scheduling class of this process: SCHED_IDLE for work that must not slow anybody down, such
// as a program that gets ready while another one serves, and a real-time one for who must not be
// slowed down by it. On Linux the class is each thread's own, and the runtime has threads besides
// ours.

import { readdirSync, readFileSync } from "node:fs";
import { pointer, reserve } from "./arena.ts";
import { CAPABILITY, hasCapability } from "./capabilities.ts";
import { EPERM, ESRCH, systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

/** SCHED_RESET_ON_FORK: what a real-time thread starts is normal. */
const RESET_ON_FORK = 0x4000_0000;
/** SCHED_OTHER, SCHED_IDLE, SCHED_RR at its lowest priority: before all that is not real-time. */
const POLICY = { normal: 0, idle: 5, urgent: 2 | RESET_ON_FORK } as const;
const PRIORITY: Readonly<Record<SchedulingClass, number>> = { normal: 0, idle: 0, urgent: 1 };
export type SchedulingClass = keyof typeof POLICY;

const parameter = reserve(16); // struct sched_param: int priority.

/** The class of the calling thread; undefined for one that somebody else has chosen. */
export function schedulingClass(): SchedulingClass | undefined {
  const policy = libc.sched_getscheduler(0);
  const classes = Object.keys(POLICY) as SchedulingClass[];
  return classes.find((name) => POLICY[name] === policy);
}

/**
 * Whether this process may change the class of its threads, and of other processes with the same
 * rights, back and forth. To come back from the idle class wants CAP_SYS_NICE in the first user
 * namespace (capabilities(7)); RLIMIT_NICE, which would do as well, is not looked at. A class that
 * an administrator has chosen is let be.
 */
export const canChooseClass = (): boolean =>
  schedulingClass() !== undefined && (hasRight ??= hasRightToChoose());

let hasRight: boolean | undefined;
const hasRightToChoose = (): boolean =>
  hasCapability(CAPABILITY.sysNice) && ALL_USERS.test(readFileSync("/proc/self/uid_map", "latin1"));
/** What the first user namespace has for its map. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * Puts every thread of this process, or of another one of ours, into the class, or the first one
 * alone. Threads and children to come inherit it from theirs, unless it is the urgent one. False
 * where the kernel does not let us (canChooseClass(), or a control group without real-time budget).
 * A process that has ended is let be.
 */
export function setSchedulingClass(
  wanted: SchedulingClass,
  pid = process.pid,
  which: "every thread" | "first thread" = "every thread",
): boolean {
  let isAllowed = true;
  parameter.view.setInt32(0, PRIORITY[wanted], true);
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

/** Long work of the idle class calls it once in less than a millisecond: see lib/handover. */
export const giveWay = (): void => void libc.sched_yield();

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return [];
    throw error;
  }
}
