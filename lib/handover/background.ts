// Getting ready costs the clients of the old program nothing: what does it is in the idle class
// and gives its processor up at once to anybody else. Once the old program waits for the new one,
// its first thread is as good as any other; the runtime's helpers (compilers, collectors), which
// are busy just then, stay behind it until it serves. Nobody stands back who could not come forward
// again.

import { canLeaveIdle, type Fd, hasEnded, setSchedulingClass } from "../sys/index.ts";
import { guarded } from "./guarded.ts";
import type { Deadline, Waiter } from "./waiter.ts";

/** On a host that is always busy the idle class would never come to an end. */
export const PATIENCE_MS = 500;

/** Puts a process of ours, and all that it starts, behind everybody else. */
export function standBack(pid = process.pid): void {
  guarded(
    () => canLeaveIdle() && setSchedulingClass("idle", pid),
    () => undefined, // It costs the clients more then.
  );
}

/** It has stood back for long enough, or serves, or is to end, which each thread needs time for. */
export function comeForward(pid = process.pid): void {
  guarded(
    () => setSchedulingClass("normal", pid),
    () => undefined, // It takes longer then.
  );
}

/** Somebody waits for the first thread; the others stand back even if they have come forward. */
export function comeForwardAlone(): void {
  standBack();
  guarded(
    () => setSchedulingClass("normal", process.pid, "first thread"),
    () => undefined, // As above.
  );
}

/** Of a process: it comes forward, unless it has ended, when it has stood back for long enough. */
export class Patience {
  private readonly waiter: Waiter;
  private deadline: Deadline | undefined;

  constructor(waiter: Waiter) {
    this.waiter = waiter;
  }

  /** From now on with this one, and with no other. */
  begin({ pid, pidfd }: Started): void {
    this.end();
    this.deadline = this.waiter.after(PATIENCE_MS, () => {
      if (!hasEnded(pidfd, 0)) comeForward(pid);
    });
  }

  end(): void {
    this.deadline?.cancel();
  }
}

export interface Started {
  readonly pid: number;
  readonly pidfd: Fd;
}
