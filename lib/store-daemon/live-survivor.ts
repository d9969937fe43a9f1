// The store daemon as something that can be replaced (lib/handover).
//
// Theory of Operation. The state is the arena, a memory file that the successor maps as it is, so
// what a handover costs does not grow with the store. Beside it go the descriptors (listeners,
// event channels, clients' sockets, the pid file) and the difference: input and output of each
// client in part. A successor that is promoted is told before the pause of all sockets there are,
// and stands by for them (live-heir.ts): then the difference is that of the clients that came since
// or have something in part, and of the rings. Ring pages are mapped anew by the successor; what it
// did on them before it ended is told by their counters (ring-place.ts). Whoever goes on after that
// maps them anew as well, for the domain may be another one, and keeps a page where that fails.
//
// While it adopts and answers probes it writes to the arena (connections get other descriptor
// numbers, the probe is a connection): whoever must go on without it makes itself a new store over
// the arena, which undoes an operation that was in the middle and drops connections that nobody has
// any more.

import type {
  CarriedDescriptor,
  Outcome,
  Snapshot,
  Survivor,
  UpdateEnd,
} from "../handover/index.ts";
import { statOf } from "../sys/index.ts";
import { ARENA_VERSION, continueStore, StoreDamagedError } from "../xenstore/index.ts";
import { tagSockets } from "./adopt-clients.ts";
import { ArenaCopy } from "./arena-copy.ts";
import type { Client } from "./client.ts";
import { encodeLiveParts } from "./live-parts.ts";
import { storeProbe } from "./live-probe.ts";
import type { DaemonParts, MappedRing } from "./parts.ts";
import type { MakeDaemon, Running } from "./running.ts";
import type { StoreDaemon } from "./store-daemon.ts";

export const STORE_KIND = "store";
/** Of the difference; the arena has a version of its own. */
const DIFFERENCE_VERSION = 4;
export const STORE_STATE_VERSION = ARENA_VERSION * 100 + DIFFERENCE_VERSION;

export const ARENA_KEY = "arena";
export const PID_FILE_KEY = "pid-file";

export interface SurvivorParts {
  readonly running: Running;
  readonly makeDaemon: MakeDaemon;
  /** Ends the program; what it leaves behind belongs to the successor. */
  readonly leave: () => void;
}

/** The text for a stock client, or our report. */
export function answerOf(outcome: Outcome | UpdateEnd, wantsReport: boolean): string {
  if (wantsReport) return JSON.stringify(outcome);
  return outcome.kind === "updated" ? "OK" : "reason" in outcome ? outcome.reason : outcome.kind;
}

/** The same for the log. */
export function lineOf(outcome: Outcome | UpdateEnd): string {
  if ("reason" in outcome) return `live update failed: ${outcome.reason}`;
  const { binary, way, pause_ms: pause } = outcome.report;
  if (outcome.kind === "rehearsed") return `live update: ${binary} could serve`;
  const paused =
    pause.measured === null ? "" : `, after a pause of ${pause.measured.toFixed(1)} ms`;
  return `live update: ${binary} serves now${paused} (${way})`;
}

/** Tells whoever asked how it ended. */
export function answerAsker(running: Running, outcome: Outcome | UpdateEnd): void {
  const { asker, daemon } = running;
  running.asker = undefined;
  if (asker === undefined) return;
  const { connection, request_id: requestId, transaction_id: transactionId } = asker;
  const request = { connection, requestId, transactionId, command: "live-update", parameters: [] };
  const text = answerOf(outcome, asker.wants_report);
  daemon.answerControl({ ...request, command: "live-update" }, { text });
}

export interface StoreSurvivor extends Survivor {
  /** The update has ended, however it did. */
  over(): void;
}

export function storeSurvivor({ running, makeDaemon, leave }: SurvivorParts): StoreSurvivor {
  /** Those that the heir stands by for; there is none but in an update. */
  const told = new Set<Client>();
  return {
    kind: STORE_KIND,
    stateVersion: STORE_STATE_VERSION,
    settings: "",
    obstacles: () => [],
    counts() {
      const { daemon, memory } = running;
      const { nodes, watches, transactions, connections, domains } = daemon.store.counts();
      const bytes = memory.buffer.byteLength;
      return { nodes, watches, transactions, connections, domains, arena_bytes: bytes };
    },
    snapshot(): Snapshot {
      const { memory } = running;
      return new ArenaCopy({
        arena: () => ({ address: memory.address, bytes: memory.buffer.byteLength }),
        digest: () => running.daemon.store.digest(),
        lastChange: () => running.daemon.store.lastChange,
      });
    },
    descriptors: () => descriptorsOf(running),
    pause() {
      running.daemon.pause();
    },
    over: () => told.clear(),
    resume(outcome) {
      running.daemon.resume();
      answerAsker(running, outcome);
    },
    difference: () => encoded(running, running.daemon.parts()),
    standby: {
      roster() {
        told.clear();
        for (const client of running.daemon.allClients()) {
          if (client.socket !== undefined) told.add(client);
        }
        return encoded(running, rosterOf(told));
      },
      changes() {
        const { added, rest, isOneGone } = clientsBeside(told, running.daemon);
        const difference = encoded(running, { clients: rest.map((client) => client.parts()) });
        const gone = isOneGone ? [...told].filter(({ isClosed }) => isClosed) : [];
        return {
          difference,
          added: added.flatMap(carriedSocket),
          gone: gone.map(({ key }) => key),
        };
      },
    },
    digest: () => running.daemon.store.digest(),
    probe: storeProbe,
    adoptAgain(touched, outcome) {
      continueAlone({ running, makeDaemon }, running.daemon.parts(), touched);
      const { daemon, pidFile } = running;
      daemon.resume();
      pidFile?.rewrite(process.pid, (line) => daemon.log(line));
      answerAsker(running, outcome);
    },
    leave() {
      running.daemon.letGo();
      leave();
    },
  };
}

/** As they are for an heir that stands by: what they have in part comes with the changes. */
export const rosterOf = (clients: ReadonlySet<Client>): Pick<DaemonParts, "clients"> => ({
  clients: [...clients].map(({ connection, socket, domid, port }) => {
    const nothing = { input: NO_BYTES, output: NO_BYTES, sentBytes: 0, isIgnored: false };
    return { connection, kind: "socket", socket, domid, port, ring: undefined, ...nothing };
  }),
});
const NO_BYTES = new Uint8Array(0);

/** Beside these clients, of which those at rest are left out: the others are new, or in part. */
export function clientsBeside(known: ReadonlySet<Client>, daemon: StoreDaemon) {
  const added: Client[] = [];
  const rest: Client[] = [];
  let left = known.size;
  for (const client of daemon.allClients()) {
    const isKnown = known.has(client);
    if (isKnown) left -= 1;
    else added.push(client);
    if (!isKnown || !client.isAtRest) rest.push(client);
  }
  return { added, rest, isOneGone: left > 0 };
}

function encoded(running: Running, parts: Pick<DaemonParts, "clients">): Uint8Array {
  const { hypervisor, listeners, pidFile, asker, daemon } = running;
  const { eventFd, changePort } = hypervisor;
  const keyOf = (connection: number): string | null => socketKey(daemon.client(connection));
  return encodeLiveParts(parts, keyOf, {
    listeners: listeners.map((_, index) => listenerKey(index)),
    events: eventFd === undefined ? null : [EVENTS_KEY, changePort],
    pid_file: pidFile === undefined ? null : PID_FILE_KEY,
    asker: asker ?? null,
  });
}

const socketKey = (client: Client | undefined): string | null =>
  client?.socket === undefined ? null : client.key;

/** A new daemon over the arena, as the program after us has left it. */
function continueAlone(
  { running, makeDaemon }: Pick<SurvivorParts, "running" | "makeDaemon">,
  parts: DaemonParts,
  touched: ReadonlySet<string>,
): void {
  const { memory, daemon, listeners } = running;
  const clients = parts.clients.map((client) => {
    const isTouched = touched.has(socketKey(daemon.client(client.connection)) ?? "");
    const mapped = mappedOf(daemon.client(client.connection));
    return { ...client, mapped, socket: isTouched ? undefined : client.socket };
  });
  memory.grow(statOf(memory.fd.number).size);
  const next = daemonOrNone({ running, makeDaemon });
  const isTouched = (client: Client): boolean => touched.has(client.key);
  if (next === undefined) {
    const isLost = (client: Client): boolean => client.ring?.hasMoved ?? isTouched(client);
    for (const client of daemon.allClients().filter(isLost)) daemon.gone(client);
    return;
  }
  daemon.letGo("kept");
  const { trace } = daemon;
  for (const client of daemon.allClients().filter(isTouched)) {
    trace?.gone(client);
    client.isClosed = true;
    client.hangUp();
  }
  next.trace = trace;
  running.daemon = next;
  running.daemon.adopt(clients, true);
  tagSockets(next.store, next.allClients());
  for (const { connection, ring } of daemon.allClients()) {
    if (next.client(connection)?.ring?.page !== ring?.page) ring?.page[Symbol.dispose]();
  }
  for (const listener of listeners) running.daemon.listen(listener);
}

function mappedOf(client: Client | undefined): MappedRing | undefined {
  if (client?.ring === undefined) return undefined;
  return { page: client.ring.page, uniqueId: client.uniqueId };
}

/**
 * undefined: the memory was damaged under us. What this program knows of it still leads to most of
 * it, and a store that ends costs the host: it goes on with that.
 */
function daemonOrNone({ running, makeDaemon }: Pick<SurvivorParts, "running" | "makeDaemon">) {
  try {
    return makeDaemon(running, continueStore);
  } catch (error) {
    if (!(error instanceof StoreDamagedError)) throw error;
    running.daemon.log(`${error.message}: this program serves on as well as it can`);
    return undefined;
  }
}

const EVENTS_KEY = "events";
const listenerKey = (index: number): string => `listener ${index}`;

function descriptorsOf(running: Running): CarriedDescriptor[] {
  const { memory, hypervisor, listeners, pidFile, daemon } = running;
  const { eventFd } = hypervisor;
  const carried: CarriedDescriptor[] = [{ key: ARENA_KEY, fd: memory.fd }];
  listeners.forEach((fd, index) => carried.push({ key: listenerKey(index), fd }));
  if (eventFd !== undefined) carried.push({ key: EVENTS_KEY, fd: eventFd });
  if (pidFile !== undefined) carried.push({ key: PID_FILE_KEY, fd: pidFile.fd });
  return [...carried, ...daemon.allClients().flatMap(carriedSocket)];
}

const carriedSocket = ({ key, socket }: Client): CarriedDescriptor[] =>
  socket === undefined ? [] : [{ key, fd: socket }];
