// The domains' side of the daemon: their rings mapped, their event channels bound, their ends seen.
//
// The store decides (INTRODUCE, RELEASE, what a death means for nodes and watches); here is done
// what it takes. The store calls us while it carries out a request, so nothing here calls it back
// from there: features wait for prepare().

import { SystemError } from "../base/index.ts";
import type { ErrorName, XenStore } from "../xenstore/index.ts";
import type { SharedMemory } from "../sys/index.ts";
import { type Client } from "./client.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { MappedRing } from "./parts.ts";
import { Ring, RING_FEATURE_MASK } from "./ring.ts";

/** The client of a ring, as the daemon makes and ends it. */
export interface RingClients {
  connect(connection: number, domid: number, ring: Ring | undefined): Client;
  disconnect(client: Client): void;
  /** Its old life is over: watches and transactions, what it sent and what it is owed. */
  startAnew(client: Client): void;
  /** An event came for it. */
  run(client: Client): void;
  of(connection: number): Client | undefined;
}

export interface AdoptedRing {
  readonly domid: number;
  readonly connection: number;
  readonly mapped: MappedRing | undefined;
}

const WIRE_ERRORS: ReadonlySet<string> = new Set([
  "EINVAL",
  "EACCES",
  "EEXIST",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "EIO",
  "EBUSY",
  "EAGAIN",
  "EPERM",
]);

export class Domains {
  private readonly hypervisor: Hypervisor;
  private readonly clients: RingClients;
  private readonly ownDomid: number;
  private readonly byPort = new Map<number, Client>();
  /** Introduced by the request that is being carried out. */
  private fresh: Client[] = [];
  /** The domain we run in, and others that were there before us, keep what is in their rings. */
  private isStarting = false;

  constructor(hypervisor: Hypervisor, clients: RingClients, ownDomid: number) {
    this.hypervisor = hypervisor;
    this.clients = clients;
    this.ownDomid = ownDomid;
  }

  /** Also a dying one: its end is told once it is over. */
  exists(domid: number): boolean {
    return this.hypervisor.conditionOf(domid) !== undefined;
  }

  /** Connects the domain we run in. Throws SystemError where its ring cannot be had. */
  introduceOwn(store: XenStore): void {
    this.isStarting = true;
    try {
      const connection = store.introduceFirst(this.ownDomid, OWN_PORT_UNKNOWN);
      const client = this.clients.of(connection);
      client?.ring?.connect();
    } finally {
      this.isStarting = false;
    }
  }

  /** INTRODUCE of a new domain. */
  introduce(domid: number, connection: number, port: number): ErrorName | undefined {
    let page: SharedMemory | undefined;
    try {
      let remotePort = port;
      if (domid === this.ownDomid) {
        const own = this.hypervisor.mapOwnRing();
        page = own?.page;
        remotePort = own?.remotePort ?? port;
      } else {
        page = this.hypervisor.mapRing(domid);
      }
      const ring = page === undefined ? undefined : new Ring(page);
      if (ring !== undefined && ring.eventChannel !== 0) remotePort = ring.eventChannel;
      const localPort = ring === undefined ? 0 : this.hypervisor.bind(domid, remotePort);
      const client = this.clients.connect(connection, domid, ring);
      client.uniqueId = this.hypervisor.conditionOf(domid)?.uniqueId;
      this.setPort(client, localPort);
      this.fresh.push(client);
      if (ring !== undefined && !this.isStarting) beginRing(ring);
      return undefined;
    } catch (error) {
      page?.[Symbol.dispose]();
      return wireError(error);
    }
  }

  /**
   * INTRODUCE of one that is there: another event channel, and a new start. Where that cannot be
   * bound it stays without events, as with the C daemon, and the store is told.
   */
  rebind(connection: number, port: number): ErrorName | undefined {
    const client = this.clients.of(connection);
    if (client?.ring === undefined) return undefined;
    if (client.port !== 0) this.hypervisor.unbind(client.port);
    let localPort = 0;
    let refusal: ErrorName | undefined;
    try {
      localPort = this.hypervisor.bind(client.domid, port);
    } catch (error) {
      refusal = wireError(error);
    }
    this.setPort(client, localPort);
    this.clients.startAnew(client);
    beginRing(client.ring);
    this.fresh.push(client);
    return refusal;
  }

  /** The store has let the connection go: RELEASE, or death. */
  released(connection: number): void {
    const client = this.clients.of(connection);
    if (client === undefined) return;
    this.setPort(client, 0);
    this.clients.disconnect(client);
    client.ring?.page[Symbol.dispose]();
  }

  /** Of all clients, as a ring may be without a port. */
  pause(clients: Iterable<Client | undefined>): void {
    for (const client of clients) client?.ring?.pause();
  }
  resume(clients: Iterable<Client | undefined>): void {
    for (const client of clients) client?.ring?.resume();
  }

  /** After a request: what could not be done while the store was busy. */
  prepare(store: XenStore): void {
    if (this.fresh.length === 0) return;
    const { fresh } = this;
    this.fresh = [];
    for (const client of fresh) {
      if (client.isClosed) continue;
      store.setTag(client.connection, client.port);
      const { ring, domid } = client;
      if (ring === undefined) continue;
      const features = store.domainInfo(domid)?.features ?? 0;
      ring.features = features | RING_FEATURE_MASK.reconnection;
      if (ring.hasNews && client.port !== 0) this.news(client);
      this.clients.run(client); // It may have asked before it was introduced.
    }
  }

  /** Tells the guest that its ring has changed. */
  news(client: Client): void {
    if (client.ring !== undefined) client.ring.hasNews = false;
    if (client.port !== 0) this.hypervisor.notify(client.port);
  }

  /** The event descriptor is readable. */
  takeEvents(store: XenStore): void {
    const count = this.hypervisor.readEvents();
    let hasChanged = false;
    for (let index = 0; index < count; index++) {
      const port = this.hypervisor.eventAt(index);
      if (port === this.hypervisor.changePort) hasChanged = true;
      else this.wake(store, port);
    }
    this.hypervisor.endEvents(count);
    if (hasChanged) this.lookAtAll(store);
  }

  /** Looks at every ring, as if each had sent an event: after a change of programs. */
  wakeAll(store: XenStore): void {
    for (const port of this.byPort.keys()) this.wake(store, port);
  }

  /** Some domain has changed its state; which one is not told. */
  lookAtAll(store: XenStore): void {
    const shutDown: number[] = [];
    for (const { domid, isShutdown, connection } of store.domains()) {
      if (domid === this.ownDomid) continue;
      const condition = this.hypervisor.conditionOf(domid);
      if (connection === undefined) {
        // Known because a permission, a feature or a quota names it.
        if (condition === undefined) store.domainGone(domid);
        continue;
      }
      const known = this.clients.of(connection)?.uniqueId;
      const isSame = known === undefined || condition?.uniqueId === known;
      if (condition === undefined || condition.isDying || !isSame) store.domainGone(domid);
      else if (condition.isShutDown && !isShutdown) shutDown.push(domid);
    }
    if (shutDown.length > 0) store.domainsShutdown(shutDown);
  }

  /**
   * Maps the ring of a domain that was introduced to the program before us. Where that cannot be
   * done, it is served on the page that is there, if there is one, and the domain is the same.
   */
  adopt(info: AdoptedRing, port: number): void {
    const { domid, connection } = info;
    const page = this.mapAgain(info);
    const ring = page === undefined ? undefined : new Ring(page);
    // What the program before us had for it may not have been told.
    if (ring !== undefined) ring.hasNews = true;
    const client = this.clients.connect(connection, domid, ring);
    client.uniqueId = this.hypervisor.conditionOf(domid)?.uniqueId;
    this.setPort(client, port);
  }

  private mapAgain({ domid, mapped }: AdoptedRing): SharedMemory | undefined {
    const isOwn = domid === this.ownDomid;
    try {
      return isOwn ? this.hypervisor.mapOwnRing()?.page : this.hypervisor.mapRing(domid);
    } catch (error) {
      wireError(error);
      if (mapped === undefined) throw error;
      const { uniqueId } = this.hypervisor.conditionOf(domid) ?? {};
      if (uniqueId !== mapped.uniqueId) throw error;
      return mapped.page;
    }
  }

  /** Binds the event channel of an adopted domain anew: those of a program that died are gone. */
  bindAgain(domid: number, remotePort: number): number {
    const own = domid === this.ownDomid ? this.hypervisor.mapOwnRing() : undefined;
    own?.page[Symbol.dispose]();
    if (domid === this.ownDomid && own === undefined) return 0;
    return this.hypervisor.bind(domid, own?.remotePort ?? remotePort);
  }

  private wake(store: XenStore, port: number): void {
    const client = this.byPort.get(port);
    if (client?.ring === undefined) return;
    if (client.ring.wantsReconnection) {
      client.isIgnored = false;
      store.reset(client.connection);
      this.clients.startAnew(client);
      client.ring.wipe();
      client.ring.connect();
      this.news(client);
      return;
    }
    this.clients.run(client);
  }

  private setPort(client: Client, port: number): void {
    if (client.port !== 0) this.byPort.delete(client.port);
    client.port = port;
    if (port !== 0) this.byPort.set(port, client);
  }
}

/** The kernel of our own domain tells its port itself. */
const OWN_PORT_UNKNOWN = 1;

/** A ring after INTRODUCE: empty, and a guest that asked for a new start is told. */
function beginRing(ring: Ring): void {
  ring.reset();
  if (ring.wantsReconnection) ring.connect();
}

/** What a client is told when a device refuses. Rethrows what is our own mistake. */
function wireError(error: unknown): ErrorName {
  if (error instanceof SystemError) {
    const { code } = error.failure;
    return WIRE_ERRORS.has(code) ? (code as ErrorName) : "EINVAL";
  }
  if (error instanceof Error && error.name === "NoDomainError") return "ENOENT";
  throw error;
}
