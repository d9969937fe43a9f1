// A store daemon that is about to take over from another one (lib/handover): it verifies a copy of
// the arena, maps the real one, answers a probe, and serves.
//
// Theory of Operation. Everybody waits while it adopts, so it stands by first, while the other one
// still serves: the real arena is mapped and the daemon over it made, every socket has its client
// and is watched (until something comes by it, see StoreDaemon.pause). Nothing is written, and of
// the arena nothing is believed but what never changes. What is left for the pause: the lists in
// the arena, connections that came, went or have something in part, and the rings.
//
// What it cannot take over in full it refuses, and the other one serves on. Where there is no other
// one left (the keeper of an update in place, or the old program back again), it serves all that it
// can have: a ring that cannot be mapped costs its domain, and nobody else.

import { RefusedError, SystemError } from "../base/index.ts";
import {
  type Adoption,
  carriedFd,
  type Heir,
  type Outcome,
  type Survivor,
} from "../handover/index.ts";
import {
  duplicate,
  type Fd,
  giveWay,
  type GrowingMemory,
  type Loop,
  mapGrowingMemory,
  shutdownConnection,
  statOf,
} from "../sys/index.ts";
import { adoptStore, awaitStore, type Host, type XenStore } from "../xenstore/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { decodeLiveParts, type LiveClient, type LiveHead } from "./live-parts.ts";
import { practise } from "./live-practice.ts";
import { storeProbe } from "./live-probe.ts";
import { ARENA_KEY } from "./live-survivor.ts";
import type { ClientParts } from "./parts.ts";
import { PidFile } from "./pid-file.ts";
import type { MakeDaemon, Running } from "./running.ts";
import type { StoreDaemon } from "./store-daemon.ts";

/** Clients that wait were answered by then. */
const FIRST_SERVED_MS = 20;
/** All of a small arena. Of a large one what a pause touches is few pages anywhere. */
const POPULATED_BYTES = 4 * 1024 * 1024;

export interface HeirParts {
  readonly loop: Loop;
  readonly makeDaemon: MakeDaemon;
  readonly openHypervisor: (events: InheritedEvents | undefined) => Hypervisor;
  readonly pidFilePath: string | undefined;
  /** Everything is taken over: begin to serve. */
  readonly onServing: (running: Running, outcome: Outcome) => Survivor;
}

export interface InheritedEvents {
  readonly fd: Fd;
  /** undefined: bind it anew. */
  readonly changePort: number | undefined;
}

/** What it has taken so far; the store is the other program's until it adopts. */
interface Taken {
  readonly memory: GrowingMemory;
  readonly hypervisor: Hypervisor;
  readonly daemon: StoreDaemon;
  readonly listeners: Fd[];
  readonly pidFile: PidFile | undefined;
  /** Sockets it stands by for, by connection. */
  readonly standing: Map<number, LiveClient>;
}

export function storeHeir(parts: HeirParts): Heir {
  const { loop, onServing } = parts;
  let taken: Taken | undefined;
  let running: Running | undefined;
  return {
    rehearse(copy) {
      using memory: GrowingMemory = mapGrowingMemory(duplicate(copy.number, "the copy"));
      const digest = adoptStore(memory, SILENT_HOST, giveWay).digest();
      practiseOrGiveUp(memory);
      return digest;
    },
    standBy(adoption) {
      const { head } = decodeLiveParts(adoption.difference);
      taken = begin(parts, head, adoption);
      const { daemon, standing } = taken;
      for (const client of head.clients) {
        if (client.key === null) continue;
        daemon.standBy(client.connection, carriedFd(adoption, client.key));
        standing.set(client.connection, client);
      }
    },
    adopt(adoption) {
      const { head, bytes } = decodeLiveParts(adoption.difference);
      taken ??= begin(parts, head, adoption);
      const { memory, daemon, hypervisor, listeners, pidFile, standing } = taken;
      memory.grow(statOf(memory.fd.number).size);
      daemon.store.take();
      dismiss(taken, adoption.gone);
      const clients = head.clients.map((client, index) => ({
        ...partsOf(client, adoption),
        ...bytes[index]!, // As many of both.
      }));
      const { isLastResort } = adoption;
      if (!isLastResort) refuseStrangers(head.clients, standing.keys(), daemon.store);
      for (const client of head.clients) standing.set(client.connection, client);
      daemon.adopt(clients, true);
      if (!isLastResort) refuseLostRings(clients, daemon, hypervisor);
      daemon.traffic = (client, isTouched) => {
        const key = standing.get(client.connection)?.key ?? "";
        if (!adoption.touch(key, isTouched)) daemon.traffic = undefined;
      };
      const asker = head.asker ?? undefined;
      running = { loop, memory, hypervisor, listeners, daemon, asker, pidFile };
      taken = undefined; // Who was handed over is of use to the marks alone, as long as they are.
      return daemon.store.digest();
    },
    probe: storeProbe,
    serveProbe: (fd) => there(running).daemon.acceptProbe(fd),
    serve: (outcome) => onServing(there(running), outcome),
    onFirstServed: (report) => void loop.after(FIRST_SERVED_MS, report),
  };
}

/** Everything but the clients. Nothing of it is noticed by the program that still serves. */
function begin(
  { makeDaemon, openHypervisor, pidFilePath }: HeirParts,
  head: LiveHead,
  adoption: Adoption,
): Taken {
  const need = (key: string): Fd => carriedFd(adoption, key);
  const events =
    head.events === null ? undefined : { fd: need(head.events[0]), changePort: head.events[1] };
  const memory = mapGrowingMemory(need(ARENA_KEY));
  memory.populate(POPULATED_BYTES);
  const hypervisor = openHypervisor(events);
  const daemon = makeDaemon({ memory, hypervisor }, awaitStore);
  const listeners = head.listeners.map(need);
  for (const listener of listeners) daemon.listen(listener);
  const pidFd = head.pid_file === null ? undefined : need(head.pid_file);
  const pidFile =
    pidFd === undefined || pidFilePath === undefined
      ? undefined
      : new PidFile(pidFilePath, process.pid, pidFd);
  return { memory, hypervisor, daemon, listeners, pidFile, standing: new Map() };
}

function partsOf(client: LiveClient, adoption: Adoption): Omit<ClientParts, "input" | "output"> {
  const { connection, key, domid, port, sent_bytes: sentBytes, is_ignored: isIgnored } = client;
  const rest = { connection, domid, port, ring: client.ring ?? undefined, sentBytes, isIgnored };
  if (key === null) return { ...rest, kind: "ring", socket: undefined };
  const socket = carriedFd(adoption, key);
  const isTouched = adoption.touched.has(key);
  if (isTouched) hangUp(socket);
  return { ...rest, kind: "socket", socket: isTouched ? undefined : socket };
}

/** Where there are no descriptors left for it, the takeover takes longer, and no more. */
function practiseOrGiveUp(copy: GrowingMemory): void {
  try {
    practise(copy);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

function there(running: Running | undefined): Running {
  if (running === undefined) throw new RefusedError("Cannot serve: nothing was adopted");
  return running;
}

function hangUp(socket: Fd): void {
  shutdownConnection(socket);
  socket[Symbol.dispose]();
}

/**
 * Who is handed over the store knows, so that nobody is dropped in silence. It may know more: the
 * probe of a program that has refused.
 */
function refuseStrangers(
  clients: readonly LiveClient[],
  standing: Iterable<number>,
  store: Pick<XenStore, "kindOf" | "connectionInfo">,
): void {
  for (const connection of standing) {
    if (store.kindOf(connection) !== "socket") throw stranger("a socket", connection, store);
  }
  for (const { connection, key, domid, port, is_ignored } of clients) {
    const kind = key === null ? "ring" : "socket";
    if (store.kindOf(connection) !== kind) throw stranger(`a ${kind}`, connection, store);
    if (kind === "socket") continue;
    const found = store.connectionInfo(connection);
    if (found.domid !== domid) throw stranger(`a ring of domain ${domid}`, connection, store);
    if (is_ignored || found.tag === port) continue;
    throw stranger(`a ring at port ${port}`, connection, store);
  }
}

function stranger(
  wanted: string,
  connection: number,
  store: Pick<XenStore, "kindOf" | "connectionInfo">,
): RefusedError {
  const kind = store.kindOf(connection);
  const found =
    kind === undefined ? "none" : `a ${kind} of ${store.connectionInfo(connection).tag}`;
  const what = `wanted ${wanted} as connection ${connection}, found ${found}`;
  return new RefusedError(`Cannot adopt the store: ${what}`);
}

/** Those that the other program has lost meanwhile. */
function dismiss({ daemon, standing }: Taken, gone: readonly string[]): void {
  if (gone.length === 0) return;
  const keys = new Set(gone);
  for (const { connection, key } of [...standing.values()]) {
    if (key === null || !keys.has(key)) continue;
    daemon.dismiss(connection);
    standing.delete(connection);
  }
}

/**
 * A ring that the program before us served and that cannot be mapped again ends the update, unless
 * its domain has ended meanwhile.
 */
function refuseLostRings(
  clients: readonly ClientParts[],
  daemon: Pick<StoreDaemon, "client">,
  hypervisor: Pick<Hypervisor, "conditionOf">,
): void {
  const lost = clients.filter(({ kind, isIgnored, connection, domid }) => {
    if (kind !== "ring" || isIgnored || daemon.client(connection)?.isIgnored === false)
      return false;
    return hypervisor.conditionOf(domid)?.isDying === false;
  });
  if (lost.length === 0) return;
  const names = lost.map(({ domid }) => domid).join(", ");
  throw new RefusedError(`Cannot adopt the store: no ring can be had of domain ${names}`);
}

/** A rehearsal has no clients. */
const SILENT_HOST: Host = {
  outboxOf: () => ({ bytes: new Uint8Array(0), start: 0, end: 0, reserve: () => false }),
  domainExists: () => true,
  introduce: () => undefined,
  rebind: () => undefined,
  released: () => undefined,
  resumed: () => undefined,
  log: () => undefined,
  logging: () => undefined,
  logSwitches: () => undefined,
  control: () => ({ error: "EINVAL" }),
};
