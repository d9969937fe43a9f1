// What every recovery has in common.

import { messageOf } from "./emulator.ts";
import {
  describeMonitor,
  isGone,
  type Monitor,
  type MonitorAddress,
  MonitorError,
} from "./monitor.ts";
import { type MonitorLimits, openMonitor } from "./open-monitor.ts";

/**
 * finished: every disk has its snapshot, or its deletion or revert is done. undone: none has.
 * nothing: the group had not begun, or had ended. stuck: an operator has to look. busy: another
 * process works on it.
 */
export type RecoverResult = "finished" | "undone" | "nothing" | "stuck" | "busy";

export interface Context {
  readonly isSwitched: boolean;
  readonly limits: MonitorLimits;
  /** What was done, for the report. */
  readonly actions: string[];
}

/** undefined: its QEMU is gone, or it was our own storage daemon, which dies with its process. */
export async function reach(
  address: MonitorAddress | null,
  limits: MonitorLimits,
): Promise<Monitor | undefined> {
  if (address === null) return undefined;
  try {
    return await openMonitor(address, limits);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error; // Somebody is there and does not talk to us: nothing can be decided.
  }
}

/** In place of one that somebody else has, or that hangs: it was asked, and is not asked again. */
export function unreachable(address: MonitorAddress): Monitor {
  const name = describeMonitor(address);
  return {
    name,
    execute: (command) => {
      const what = `Cannot use ${name}: ${command} was not asked`;
      return Promise.reject(new MonitorError(what, { failure: "busy" }));
    },
    release: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/** Goes on with the others when one fails. */
export async function attempt(
  failures: string[],
  run: () => Promise<void> | void,
): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    failures.push(messageOf(error));
    return false;
  }
}
