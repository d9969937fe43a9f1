// The clients of another program become those of this one: some have stood by, others come with
// their sockets, rings are mapped. They are many, and all of them wait: where the store knows of
// nobody else, it is not asked for all of its connections.

import { SystemError } from "../base/index.ts";
import type { Fd } from "../sys/index.ts";
import type { ConnectionInfo, XenStore } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { Domains } from "./domains.ts";
import { NoDomainError } from "./hypervisor.ts";
import type { ClientParts, MappedRing } from "./parts.ts";
import { hasMoved, restOfRing } from "./ring-place.ts";

/** The daemon, as far as it is needed for it. */
export interface Adopting {
  readonly store: XenStore;
  /** By connection; those that have stood by are there. */
  readonly clients: readonly (Client | undefined)[];
  readonly domains: Domains;
  readonly log: (text: string) => void;
  newClient(connection: number, socket: Fd): Client;
  /** A client without a ring, whose domain is not served. */
  ignoreRing(connection: number, domid: number): void;
  restoreInput(client: Client, bytes: Uint8Array): boolean;
  gone(client: Client): void;
}

/** `areBound`: the event channels came with their descriptor. */
export function adoptClients(
  parts: readonly ClientParts[],
  areBound: boolean,
  daemon: Adopting,
): void {
  const { store, clients } = daemon;
  for (const part of parts) adoptPart(part, areBound, daemon);
  let count = 0;
  for (const client of clients) {
    if (client === undefined) continue;
    count += 1;
    if (client.socket !== undefined) client.identity = store.idleOf(client.connection) | 0;
  }
  if (store.counts().connections !== count) adoptOthers(areBound, daemon);
}

/**
 * Writes down which descriptors the sockets are, for whoever reads the memory as a dump. Nobody
 * waits for it.
 */
export function tagSockets(store: XenStore, clients: readonly Client[]): void {
  for (const { connection, socket } of clients) {
    if (socket !== undefined) store.setTag(connection, socket.number);
  }
}

function adoptPart(part: ClientParts, areBound: boolean, daemon: Adopting): void {
  const { store, clients } = daemon;
  const { connection, socket } = part;
  if (store.kindOf(connection) !== part.kind) return; // By now it is somebody else's.
  if (part.kind === "ring") return adoptRingPart(part, areBound, daemon);
  if (clients[connection] === undefined) {
    if (socket === undefined) return; // It did not come along.
    daemon.newClient(connection, socket);
  }
  const client = clients[connection];
  if (client !== undefined) restore(client, part, daemon);
}

function adoptRingPart(part: ClientParts, areBound: boolean, daemon: Adopting): void {
  const { store, clients } = daemon;
  const { connection, domid, input, output, sentBytes } = part;
  const info = store.connectionInfo(connection);
  if (info.domid !== domid) return;
  adoptRing(info, areBound, daemon, part.mapped);
  const client = clients[connection];
  // One whose ring cannot be had stays ignored, whatever it was before.
  if (client === undefined || client.isIgnored) return;
  const { ring } = client;
  if (ring === undefined || part.ring === undefined) return restore(client, part, daemon);
  const had = { inputBytes: input.length, outputBytes: output.length - sentBytes };
  const { now } = ring;
  const rest = restOfRing(part.ring, had, now, store.ringEnds(connection));
  ring.goOn(rest); // Where it is lost, the guest is told so once everybody is served.
  if (rest === undefined) return;
  const isIgnored = part.isIgnored && !hasMoved(part.ring, now); // Else it has begun anew.
  const left = input.slice(input.length - rest.inputBytes);
  restore(client, { ...part, input: left, isIgnored }, daemon);
  const sent = had.outputBytes - rest.outputBytes;
  if (sent > 0) client.outbox.advance(sent);
}

function restore(client: Client, part: ClientParts, daemon: Adopting): void {
  client.isIgnored = part.isIgnored;
  const isWhole = client.outbox.restore(part.output, part.sentBytes);
  if (!isWhole || !daemon.restoreInput(client, part.input)) daemon.gone(client);
}

/** Nobody has told of them: rings after a crash, and sockets that nobody has any more. */
function adoptOthers(areBound: boolean, daemon: Adopting): void {
  const { store, clients } = daemon;
  for (const info of store.connections()) {
    if (clients[info.connection] !== undefined) continue;
    if (info.kind === "ring") {
      adoptRing(info, areBound, daemon);
      clients[info.connection]?.ring?.settle(...store.ringEnds(info.connection));
    } else store.disconnect(info.connection);
  }
}

function adoptRing(
  { connection, domid, tag }: Pick<ConnectionInfo, "connection" | "domid" | "tag">,
  areBound: boolean,
  { store, domains, log, ignoreRing }: Adopting,
  mapped?: MappedRing,
): void {
  try {
    const remotePort = store.domainInfo(domid)?.port ?? 0;
    // A dump may name the other end alone.
    const isBound = areBound && (tag !== 0 || remotePort === 0);
    const port = isBound ? tag : domains.bindAgain(domid, remotePort);
    domains.adopt({ domid, connection, mapped }, port);
    store.setTag(connection, port);
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof NoDomainError)) throw error;
    // Its domain is dying or gone, which lookAtAll() is about to find.
    log(`${error.message}: domain ${domid} is not served`);
    ignoreRing(connection, domid);
  }
}
