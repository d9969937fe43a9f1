// What a store daemon is made from.

import type { Loop } from "../sys/index.ts";
import type {
  ControlAnswer,
  ControlRequest,
  Host,
  StoreMemory,
  XenStore,
} from "../xenstore/index.ts";
import type { Hypervisor } from "./hypervisor.ts";

export interface DaemonOptions {
  readonly loop: Loop;
  readonly hypervisor: Hypervisor;
  readonly memory: StoreMemory;
  /** A fresh store in the memory, or the one that is there: formatStore or adoptStore. */
  readonly openStore: (memory: StoreMemory, host: Host) => XenStore;
  /** The domain we run in; sockets stand for it. */
  readonly ownDomid: number;
  /** How long events wait for a guest that does not take them; 0: for ever. */
  readonly eventTimeoutMs: number;
  /** CONTROL commands about the program. */
  readonly control: (request: ControlRequest) => ControlAnswer;
  /** What an operator should know. */
  readonly log: (line: string) => void;
  readonly logging: (isOn: boolean) => void;
  readonly logSwitches: (mask: number) => void;
}
