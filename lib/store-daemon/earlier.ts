// What an earlier program of this service has left in the service manager's hands.
//
// Descriptors say by their content what they are, since managers before 233 keep no names:
//
//   listener     a socket that connections come to
//   client       any other socket; known by its inode number (kept-clients.ts)
//   events       the event channels' device, or the file that plays it
//   arena        a memory file that cannot be cut short, and begins like an arena

import { join } from "node:path";
import { statSync, type Stats } from "node:fs";
import {
  EVENT_CHANNEL_PATH,
  type Fd,
  type GrowingMemory,
  isListening,
  kindOf,
  mapGrowingMemory,
  type PassedDescriptor,
  SEAL_MASK,
  sealsOf,
  statOf,
} from "../sys/index.ts";
import { RefusedError } from "../base/index.ts";
import { isArena } from "../xenstore/index.ts";

export interface Earlier {
  readonly arena: GrowingMemory | undefined;
  readonly listeners: Fd[];
  readonly events: Fd | undefined;
  /** Connected sockets by inode number. */
  readonly sockets: ReadonlyMap<number, Fd>;
}

/** Sorts what was passed. What is of no use is closed: open, it would keep something alive. */
export function sortPassed(
  descriptors: readonly PassedDescriptor[],
  hypervisor: "xen" | "none" | { readonly folder: string },
): Earlier {
  let arena: GrowingMemory | undefined;
  let events: Fd | undefined;
  const listeners: Fd[] = [];
  const sockets = new Map<number, Fd>();
  for (const { fd } of descriptors) {
    const stats = statOf(fd.number);
    if (kindOf(stats) === "socket") {
      if (isListening(fd.number)) listeners.push(fd);
      else sockets.set(stats.ino, fd);
      continue;
    }
    if (events === undefined && areEvents(stats, hypervisor)) {
      events = fd;
      continue;
    }
    const memory = arena === undefined ? arenaOf(fd) : undefined;
    if (memory === undefined) fd[Symbol.dispose]();
    else arena = memory;
  }
  return { arena, listeners, events, sockets };
}

function areEvents(stats: Stats, hypervisor: "xen" | "none" | { readonly folder: string }) {
  if (hypervisor === "none") return false;
  const path = hypervisor === "xen" ? EVENT_CHANNEL_PATH : join(hypervisor.folder, "evtchn");
  const device = statSync(path, { throwIfNoEntry: false });
  if (device === undefined) return false;
  if (stats.isCharacterDevice()) return device.isCharacterDevice() && device.rdev === stats.rdev;
  return stats.isFIFO() && device.dev === stats.dev && device.ino === stats.ino;
}

function arenaOf(fd: Fd): GrowingMemory | undefined {
  if (((sealsOf(fd) ?? 0) & SEAL_MASK.shrink) === 0) return undefined;
  const memory = mapGrowingMemory(fd);
  if (isArena(memory)) return memory;
  memory[Symbol.dispose]();
  return undefined;
}

/** What to do about memory that cannot be adopted. */
export const damagedMemory = (why: string): RefusedError =>
  new RefusedError(
    `${why}: the service manager keeps it: to begin with an empty store, stop the service first`,
  );
