// Clients' sockets in the service manager's hands, so that they outlive a program that is killed.
//
// Theory of Operation. Once a second every client that is older than that is stored (FDSTORE) under
// its socket's inode number; short visits cost nothing. From then on an inode number in the arena
// says that the client is idle: nothing of it is in this program's hands, no request in part or in
// service, no answer, no event. turns.ts takes the mark away before the first byte of a request is
// received, the store before an operation with events for the client becomes final, and it is put
// back when everything has gone. A program that is started after a kill goes on with the sockets
// whose marks stand, and hangs up the others: of those it cannot know what was answered.
//
// The manager lets go of a socket by itself when both ends have closed it; managers from 236 on are
// told as well.

import { type Environment, notifyManager, shutdownConnection, statOf } from "../sys/index.ts";
import type { Fd } from "../sys/index.ts";
import type { ConnectionInfo } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { ClientParts } from "./parts.ts";
import type { StoreDaemon } from "./store-daemon.ts";

/** A manager that is flooded stops everything else that it does. */
const STORED_PER_LOOK = 64;
/** Our clients do not wait for a manager that is busy: the next look is soon. */
const SEND_WAIT_MS = 1;
const NO_BYTES = new Uint8Array(0);

const nameOf = (inode: number): string => `client-${inode >>> 0}`;

export class KeptClients {
  private readonly environment: Environment;
  private readonly stored = new Map<number, Client>();
  /** Clients up to this serial number were there at the last look. */
  private knownSerial = 0;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  /** Once a second: stores those that have stayed, forgets those that have gone. */
  look(daemon: StoreDaemon): void {
    if (this.environment.NOTIFY_SOCKET === undefined) return;
    const clients = daemon.allClients();
    for (const client of clients) {
      // By the program before us, or by this one before a live update that failed.
      if (client.identity !== 0) this.stored.set(client.identity, client);
    }
    if (!this.forgetGone(daemon)) return;
    const youngest = this.knownSerial;
    let left = STORED_PER_LOOK;
    for (const client of clients) {
      this.knownSerial = Math.max(this.knownSerial, client.serial);
      if (client.serial > youngest || client.identity !== 0 || left === 0) continue;
      left = this.store(daemon, client) ? left - 1 : 0;
    }
  }

  private store(daemon: StoreDaemon, client: Client): boolean {
    if (client.socket === undefined) return true;
    const { number } = client.socket;
    const inode = statOf(number).ino | 0;
    const told = { FDSTORE: 1, FDNAME: nameOf(inode) };
    if (!notifyManager(this.environment, told, [number], SEND_WAIT_MS)) return false;
    this.stored.set(inode, client);
    daemon.keep(client, inode);
    return true;
  }

  /** False when the manager is busy. */
  private forgetGone(daemon: StoreDaemon): boolean {
    for (const [inode, client] of this.stored) {
      // Also one that has ended before its next look after a live update that failed.
      if (daemon.client(client.connection) === client) continue;
      const told = { FDSTOREREMOVE: 1, FDNAME: nameOf(inode) };
      if (!notifyManager(this.environment, told, [], SEND_WAIT_MS)) return false;
      this.stored.delete(inode);
    }
    return true;
  }
}

/**
 * The clients that go on after a program was killed, of the sockets that the manager kept, by inode
 * number. All others are hung up.
 */
export function idleClients(
  connections: readonly ConnectionInfo[],
  sockets: ReadonlyMap<number, Fd>,
): ClientParts[] {
  const left = new Map(sockets);
  const clients = connections.flatMap(({ connection, kind, domid, idle }): ClientParts[] => {
    const socket = kind === "socket" && idle !== 0 ? left.get(idle) : undefined;
    if (socket === undefined) return [];
    left.delete(idle);
    const nothing = { input: NO_BYTES, output: NO_BYTES, sentBytes: 0, isIgnored: false };
    return [{ connection, kind, socket, domid, port: 0, ring: undefined, ...nothing }];
  });
  for (const socket of left.values()) {
    shutdownConnection(socket);
    socket[Symbol.dispose]();
  }
  return clients;
}
