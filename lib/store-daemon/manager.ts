// What the service manager is told of the daemon's life, and given to keep (sd_notify(3)).

import { RefusedError } from "../base/index.ts";
import { type Environment, type Fd, type Loop, monotonicNs, notifyManager } from "../sys/index.ts";
import { every } from "./repeat.ts";

const ARENA_NAME = "arena";
const LISTENER_NAME = "listen";
const EVENTS_NAME = "events";
const USEC_PER_MS = 1000;
const NS_PER_USEC = 1000n;

const READY = { READY: 1, STATUS: "Serving xenstore" };

/** Requests are answered: what there is to keep is kept; where nothing is, it says nothing. */
export function tellReady(
  environment: Environment,
  kept: { readonly arena: Fd; readonly events: Fd | undefined; readonly listeners: readonly Fd[] },
): void {
  notifyManager(environment, READY, []);
  const keep = (name: string, { number }: Fd): void => {
    notifyManager(environment, { FDSTORE: 1, FDNAME: name }, [number]);
  };
  keep(ARENA_NAME, kept.arena);
  if (kept.events !== undefined) keep(EVENTS_NAME, kept.events);
  for (const listener of kept.listeners) keep(LISTENER_NAME, listener);
}

/** A new process speaks for the service from now on. */
export function tellReplaced(environment: Environment): void {
  notifyManager(environment, { MAINPID: process.pid }, []);
  notifyManager(environment, READY, []);
}

/** The program is being replaced: tellReplaced() follows, by whoever serves then. */
export function tellReloading(environment: Environment): void {
  const usec = monotonicNs() / NS_PER_USEC;
  notifyManager(environment, { RELOADING: 1, MONOTONIC_USEC: usec }, []);
}

/** It ends; `isSocketGone`: kept, the listener would be a socket that nobody can find. */
export function tellStopping(environment: Environment, isSocketGone: boolean): void {
  notifyManager(environment, { STOPPING: 1 }, []);
  if (!isSocketGone) return;
  notifyManager(environment, { FDSTOREREMOVE: 1, FDNAME: LISTENER_NAME }, []);
}

/**
 * Tells the manager at half of its limit that we live. The limit is for the process that it has
 * started, and for the successors of that.
 */
export function keepWatchdogQuiet(
  loop: Loop,
  environment: Environment,
  isSuccessor: boolean,
): void {
  const { WATCHDOG_USEC: limit, WATCHDOG_PID: pid } = environment;
  if (limit === undefined) return;
  if (!isSuccessor && pid !== undefined && Number(pid) !== process.pid) return;
  const limitMs = Number(limit) / USEC_PER_MS;
  if (!(limitMs > 0)) throw new RefusedError(`Cannot use WATCHDOG_USEC="${limit}"`);
  every(loop, limitMs / 2, () => void notifyManager(environment, { WATCHDOG: 1 }, []));
}
