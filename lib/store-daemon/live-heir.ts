// A store daemon that is about to take over from another one (lib/handover): it verifies a copy of
// the arena, maps the real one, answers a probe, and serves.

import { RefusedError, SystemError } from "../base/index.ts";
import { carriedFd, type Heir, type Outcome, type Survivor } from "../handover/index.ts";
import {
  duplicate,
  type Fd,
  type GrowingMemory,
  type Loop,
  mapGrowingMemory,
  shutdownConnection,
} from "../sys/index.ts";
import { adoptStore, type ConnectionInfo, continueStore, type Host } from "../xenstore/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { decodeLiveParts, type LiveClient } from "./live-parts.ts";
import { practise } from "./live-practice.ts";
import { storeProbe } from "./live-probe.ts";
import { ARENA_KEY } from "./live-survivor.ts";
import type { ClientParts } from "./parts.ts";
import { PidFile } from "./pid-file.ts";
import type { MakeDaemon, Running } from "./running.ts";

/** Clients that wait were answered by then. */
const FIRST_SERVED_MS = 20;

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

export function storeHeir(parts: HeirParts): Heir {
  const { loop, makeDaemon, openHypervisor, pidFilePath, onServing } = parts;
  let running: Running | undefined;
  return {
    rehearse(copy) {
      using memory: GrowingMemory = mapGrowingMemory(duplicate(copy.number, "the copy"));
      const digest = adoptStore(memory, SILENT_HOST).digest();
      practiseOrGiveUp(memory);
      return digest;
    },
    adopt(adoption) {
      const { head, bytes } = decodeLiveParts(adoption.difference);
      const need = (key: string): Fd => carriedFd(adoption, key);
      const events =
        head.events === null ? undefined : { fd: need(head.events[0]), changePort: head.events[1] };
      const memory = mapGrowingMemory(need(ARENA_KEY));
      const hypervisor = openHypervisor(events);
      const daemon = makeDaemon({ memory, hypervisor }, continueStore);
      refuseStrangers(head.clients, daemon.store.connections());
      const listeners = head.listeners.map(need);
      const clients = head.clients.map((client, index): ClientParts => {
        const socket = client.key === null ? undefined : need(client.key);
        const isTouched = client.key !== null && adoption.touched.has(client.key);
        if (isTouched && socket !== undefined) hangUp(socket);
        return {
          connection: client.connection,
          kind: client.key === null ? "ring" : "socket",
          socket: isTouched ? undefined : socket,
          domid: client.domid,
          port: client.port,
          ...bytes[index]!, // As many of both.
          sentBytes: client.sent_bytes,
          isIgnored: client.is_ignored,
        };
      });
      daemon.adopt(clients, true);
      refuseLostRings(clients, (connection) => daemon.client(connection)?.isIgnored ?? true);
      const keys = new Map(head.clients.map(({ connection, key }) => [connection, key]));
      daemon.traffic = (client, isTouched) => {
        const key = keys.get(client.connection) ?? "";
        if (!adoption.touch(key, isTouched)) daemon.traffic = undefined;
      };
      for (const listener of listeners) daemon.listen(listener);
      const pidFile = head.pid_file === null ? undefined : need(head.pid_file);
      running = {
        loop,
        memory,
        hypervisor,
        listeners,
        daemon,
        asker: head.asker ?? undefined,
        pidFile:
          pidFile === undefined || pidFilePath === undefined
            ? undefined
            : new PidFile(pidFilePath, process.pid, pidFile),
      };
      return daemon.store.digest();
    },
    probe: storeProbe,
    serveProbe: (fd) => there(running).daemon.acceptProbe(fd),
    serve: (outcome) => onServing(there(running), outcome),
    onFirstServed: (report) => void loop.after(FIRST_SERVED_MS, report),
  };
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
  known: readonly Pick<ConnectionInfo, "connection" | "kind" | "tag">[],
): void {
  const rows = new Map(known.map((row) => [row.connection, row]));
  for (const { connection, key, port, is_ignored } of clients) {
    const kind = key === null ? "ring" : "socket";
    const row = rows.get(connection);
    const isSame = row?.kind === kind && (kind === "socket" || is_ignored || row.tag === port);
    if (isSame) continue;
    const wanted = kind === "ring" ? `a ring at port ${port}` : "a socket";
    const found = row === undefined ? "none" : `a ${row.kind} of ${row.tag}`;
    const what = `wanted ${wanted} as connection ${connection}, found ${found}`;
    throw new RefusedError(`Cannot adopt the store: ${what}`);
  }
}

/** A ring that the program before us served and that cannot be mapped again ends the update. */
function refuseLostRings(
  clients: readonly ClientParts[],
  isLost: (connection: number) => boolean,
): void {
  const lost = clients.filter(
    ({ kind, isIgnored, connection }) => kind === "ring" && !isIgnored && isLost(connection),
  );
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
