// Idle priority: long reads and conversions stand back behind the guests, for the processor and the
// disk.

import { readdirSync } from "node:fs";
import { ESRCH, systemError } from "./errno.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";

const PRIO_PROCESS = 0;
const NICE_MAX = 19;
const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_CLASS_IDLE = 3;
const IOPRIO_CLASS_FACTOR = 1 << 13;

export interface IdlePriority {
  /**
   * False where the kernel or a sandbox refused it: then the disk is read at the usual priority.
   */
  readonly io: boolean;
}

/**
 * Gives every thread the lowest processor priority and the idle I/O class; threads to come inherit
 * both. There is no way back without privileges.
 */
export function becomeIdle(): IdlePriority {
  let io = true;
  // On Linux both are of a thread, not of a process; the runtime's helpers have their own.
  for (const thread of threads()) {
    const niced = libc.setpriority(PRIO_PROCESS, thread, NICE_MAX);
    const errno = niced === -1 ? lastErrno() : 0;
    if (errno === ESRCH) continue; // A helper thread that has just ended.
    if (niced === -1) {
      const object = `thread ${thread}`;
      throw systemError("Cannot lower the priority", { call: "setpriority", errno, object });
    }
    io = setIdleIo(thread) && io;
  }
  return { io };
}

function setIdleIo(thread: number): boolean {
  const priority = IOPRIO_CLASS_IDLE * IOPRIO_CLASS_FACTOR;
  const call = SYSCALL.ioprio_set;
  const result = libc.syscall(call, IOPRIO_WHO_PROCESS, thread, priority, 0, 0, 0);
  const errno = result === -1 ? lastErrno() : 0;
  return result !== -1 || errno === ESRCH;
}

/** Thread ids of this process; without a /proc just 0, which means the calling thread. */
function threads(): number[] {
  try {
    return readdirSync("/proc/self/task").map(Number);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [0];
    throw error;
  }
}
