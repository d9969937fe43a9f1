// A store daemon that goes on where a stock one stopped: that one's live update has executed us in
// its place, so that the pid, the environment and the descriptors are its own (stock-dump.ts).
//
// Nothing is made anew: no socket, no process. What its format does not carry is as after its own
// update: transactions are over, generations are counted anew, VIRQ_DOM_EXC is bound again where
// the dump does not name its port. Domains that have died meanwhile are found when serving begins,
// which looks at every domain and every ring once.

import { createGrowingMemory, type GrowingMemory } from "../sys/index.ts";
import { type Host, storeFrom, type StoreMemory, type StoreOptions } from "../xenstore/index.ts";
import { channelName, type MadeStore, type StoreState } from "../xenstore/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { InheritedEvents } from "./live-heir.ts";
import type { ClientParts } from "./parts.ts";
import type { MakeDaemon, Running } from "./running.ts";
import {
  claimClient,
  claimEvents,
  claimListener,
  outputOf,
  readStockDump,
  type StockDump,
  whatIs,
} from "./stock-dump.ts";

const ARENA_BYTES = 1024 * 1024;

export interface StockHeirParts {
  readonly dump: StockDump;
  readonly makeDaemon: MakeDaemon;
  readonly openHypervisor: (events: InheritedEvents | undefined) => Hypervisor;
  readonly store: StoreOptions;
  readonly log: (line: string) => void;
}

export type StockHeir = Pick<Running, "memory" | "hypervisor" | "listeners" | "daemon"> & {
  /** Connections that were there before. */
  readonly connections: readonly number[];
};

/** Takes everything over; serving is yet to begin. Throws SystemError, RefusedError. */
export function stockHeir({ dump, log, ...parts }: StockHeirParts): StockHeir {
  const state = readStockDump(dump);
  const { socketFd, eventChannelFd, domainExceptionPort } = state.global;
  const listener = claimListener(dump.path, socketFd ?? -1);
  const events =
    eventChannelFd === null
      ? undefined
      : {
          fd: claimEvents(dump.path, eventChannelFd),
          changePort: domainExceptionPort ?? undefined,
        };
  const hypervisor = parts.openHypervisor(events);
  const memory: GrowingMemory = createGrowingMemory("xenstore", ARENA_BYTES);
  let made: MadeStore | undefined;
  const open = (arena: StoreMemory, host: Host) => {
    made = storeFrom(state, arena, { host, options: parts.store });
    return made.store;
  };
  const daemon = parts.makeDaemon({ memory, hypervisor }, open);
  const clients = clientsOf(state, made!.connections, log); // Making a daemon opens its store.
  daemon.adopt(clients, events !== undefined);
  for (const { id, uniqueId } of state.connections) {
    const client = daemon.client(made!.connections.get(id) ?? -1);
    // Another one by now: its number was given away while nobody looked.
    if (uniqueId !== null && client?.uniqueId !== undefined) client.uniqueId = uniqueId;
  }
  daemon.listen(listener);
  const connections = clients.map(({ connection }) => connection);
  return { memory, hypervisor, listeners: [listener], daemon, connections };
}

function clientsOf(
  state: StoreState,
  numbers: ReadonlyMap<number, number>,
  log: (line: string) => void,
): ClientParts[] {
  return state.connections.flatMap((connection): ClientParts[] => {
    const { id, channel, input } = connection;
    const isRing = channel.kind === "ring";
    const socket = isRing ? undefined : claimClient(channel.fd);
    if (!isRing && socket === undefined) {
      log(`${channelName(channel)} is ${whatIs(channel.fd)}: this client is lost`);
      return [];
    }
    return [
      {
        connection: numbers.get(id)!, // Each has been made.
        kind: channel.kind,
        socket,
        domid: isRing ? channel.domid : 0,
        port: isRing ? (channel.localPort ?? 0) : 0,
        ring: undefined,
        input,
        ...outputOf(connection),
        isIgnored: false,
      },
    ];
  });
}
