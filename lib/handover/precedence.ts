// Who gets a processor first while a program is replaced: its clients are to feel nothing of the
// preparations.
//
// Theory of Operation. Whatever gets ready is in the idle class, from its first moment to the one
// where the old program waits for it. That alone is not enough: since Linux 6.6 (EEVDF) a thread of
// that class, where more than one of them is owed time, may go on until the next tick, 4 to 10 ms,
// while somebody else is ready on the same processor. So long work gives way by itself once in less
// than a millisecond (giveWay() of lib/sys); a daemon whose clients wait goes first meanwhile, in a
// real-time class; and in the pause both programs do. It is their first threads that do: the
// runtime's helpers (compilers, collectors), which are busy just then, stay behind until the new
// program serves. Nobody enters a class that it could not leave again.

import {
  canChooseClass,
  type Fd,
  hasEnded,
  type SchedulingClass,
  setSchedulingClass,
} from "../sys/index.ts";
import { guarded } from "./guarded.ts";
import type { Deadline, Waiter } from "./waiter.ts";

/** On a host that is always busy the idle class would never come to an end. */
export const PATIENCE_MS = 1000;

/** Puts a process of ours, and all that it starts, behind everybody else. */
export function standBack(pid = process.pid): void {
  unlessRefused(() => canChooseClass() && setSchedulingClass("idle", pid));
}

/** It has stood back for long enough, or serves, or is to end, which each thread needs time for. */
export function comeForward(pid = process.pid): void {
  unlessRefused(() => canChooseClass() && setSchedulingClass("normal", pid));
}

/** Somebody waits for the first thread; the others stand back even if they have come forward. */
export function comeForwardAlone(): void {
  standBack();
  fallIn();
}

/** The first thread, before everybody else. */
export const goFirst = (): void => putFirstThread("urgent");

/** The first thread, as everybody else. */
export const fallIn = (): void => putFirstThread("normal");

function putFirstThread(wanted: SchedulingClass): void {
  unlessRefused(() => canChooseClass() && setSchedulingClass(wanted, process.pid, "first thread"));
}

/** Clients feel more of it then, or it takes longer. */
function unlessRefused(change: () => void): void {
  guarded(change, () => undefined);
}

export interface Started {
  readonly pid: number;
  readonly pidfd: Fd;
}

/** Of the old program, over a process that gets ready for it. */
export class Precedence {
  private readonly waiter: Waiter;
  private readonly hasClients: boolean;
  private deadline: Deadline | undefined;

  constructor(waiter: Waiter, hasClients: boolean) {
    this.waiter = waiter;
    this.hasClients = hasClients;
  }

  /** Over this process from now on, until it has stood back for long enough. */
  begin({ pid, pidfd }: Started): void {
    this.deadline?.cancel();
    this.claim();
    this.deadline = this.waiter.after(PATIENCE_MS, () => {
      this.end();
      if (!hasEnded(pidfd, 0)) comeForward(pid);
    });
  }

  /** Work of our own comes now, in turns between which clients are served. */
  waive(): void {
    fallIn();
  }

  /** That work is done. */
  resume(): void {
    if (this.deadline !== undefined) this.claim();
  }

  /** The process has come forward by itself: every moment counts from here on. */
  hold(): void {
    this.deadline?.cancel();
    this.claim();
  }

  end(): void {
    this.deadline?.cancel();
    this.deadline = undefined;
    fallIn();
  }

  private claim(): void {
    if (this.hasClients) goFirst();
  }
}
