// A store daemon with everything it runs on: what service.ts starts, and what a live update hands
// over or takes over.

import type { Fd, GrowingMemory, Loop } from "../sys/index.ts";
import type { Host, StoreMemory, XenStore } from "../xenstore/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { Asker } from "./live-parts.ts";
import type { PidFile } from "./pid-file.ts";
import type { StoreDaemon } from "./store-daemon.ts";

export interface Running {
  readonly loop: Loop;
  readonly memory: GrowingMemory;
  readonly hypervisor: Hypervisor;
  readonly listeners: Fd[];
  readonly pidFile: PidFile | undefined;
  /** Another one takes its place where a program that had its arena has failed. */
  daemon: StoreDaemon;
  /** Who asked for the live update that goes on. */
  asker: Asker | undefined;
}

/** Makes a daemon over a memory, with the options of this program. */
export type MakeDaemon = (
  running: Pick<Running, "memory" | "hypervisor">,
  openStore: (memory: StoreMemory, host: Host) => XenStore,
) => StoreDaemon;
