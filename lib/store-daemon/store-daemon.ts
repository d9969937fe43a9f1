// The store daemon: a store in its arena, and around it the socket, the rings, and the loop.
//
// Theory of Operation. Everything runs in the loop's thread and nothing waits. The store carries
// out requests and queues answers and events in outboxes; turns.ts moves bytes; domains.ts keeps
// rings and event channels. What would outlive this program is all here in one place: the arena,
// the listening socket, the clients' sockets, the event channel descriptor, and for each client the
// bytes of a request that came in part and those of answers that have not gone yet. pause() stops
// everything at a point between two requests, parts() names all of it, and a new daemon made from
// that goes on where this one stopped.

import { BufferPool, type Fd, type Loop, READY_MASK } from "../sys/index.ts";
import type {
  ControlAnswer,
  ControlRequest,
  ErrorName,
  Host,
  Outbox,
  XenStore,
} from "../xenstore/index.ts";
import { adoptClients } from "./adopt-clients.ts";
import { Acceptor } from "./acceptor.ts";
import { Client } from "./client.ts";
import type { DaemonOptions } from "./daemon-options.ts";
import { Domains } from "./domains.ts";
import { EventTimeout } from "./event-timeout.ts";
import { ClientOutbox } from "./outbox.ts";
import type { ClientParts, DaemonParts } from "./parts.ts";
import type { RequestTrace } from "./request-trace.ts";
import { type Ring, RING_ERROR, RING_FEATURE_MASK } from "./ring.ts";
import { Turns } from "./turns.ts";

/** All that is queued for all clients, and their requests in part. */
const BUFFERS_BYTES_MAX = 512 * 1024 * 1024;
/** A socket client that has so much waiting for it does not read: it is disconnected. */
const SOCKET_OUTPUT_BYTES_MAX = 32 * 1024 * 1024;
/** What a domain may have waiting; further events are lost to it, as with the C daemon's quota. */
const RING_OUTPUT_BYTES_MAX = 2 * 1024 * 1024;

export class StoreDaemon implements Host {
  readonly store: XenStore;
  private readonly options: DaemonOptions;
  private readonly loop: Loop;
  private readonly pool = new BufferPool(BUFFERS_BYTES_MAX);
  private readonly clients: (Client | undefined)[] = [];
  private readonly acceptor: Acceptor;
  private readonly domains: Domains;
  private readonly turns: Turns;
  /** Where the store leaves what is for a connection that is no more. */
  private readonly nowhere: ClientOutbox;
  private readonly eventTimeout: EventTimeout;
  private isPaused = true;
  /** Watched although we are paused. */
  private probe: Client | undefined;

  constructor(options: DaemonOptions) {
    this.options = options;
    this.loop = options.loop;
    this.nowhere = new ClientOutbox(this.pool, 0);
    const { loop, log } = options;
    this.acceptor = new Acceptor({ loop, log, accept: (socket) => this.accept(socket) });
    this.domains = new Domains(options.hypervisor, this.ringClients(), options.ownDomid);
    this.store = options.openStore(options.memory, this);
    this.turns = new Turns(this.store, { loop: this.loop, pool: this.pool, endings: this });
    this.eventTimeout = new EventTimeout(this.loop, this.turns.late, options);
  }

  // ---- Life ----

  /** Connects the domain we run in: at the start of a fresh store. */
  introduceOwn(): void {
    this.domains.introduceOwn(this.store);
    this.domains.prepare(this.store);
  }

  /** Serves the connections that come to a listening socket. */
  listen(listener: Fd): void {
    this.acceptor.add(listener);
  }

  get isServing(): boolean {
    return !this.isPaused;
  }

  /** Begins, or goes on, to serve. */
  resume(): void {
    if (!this.isPaused) return;
    if (this.probe !== undefined) this.gone(this.probe);
    this.probe = undefined;
    this.isPaused = false;
    this.domains.resume(this.clients);
    this.loop.onTurnEnd(() => this.endTurn());
    this.acceptor.resume();
    const { eventFd } = this.options.hypervisor;
    if (eventFd !== undefined) {
      this.loop.watch(eventFd, READY_MASK.readable, () => this.domains.takeEvents(this.store));
    }
    for (const client of this.clients) if (client !== undefined) this.goOn(client);
    this.domains.wakeAll(this.store);
    this.domains.lookAtAll(this.store);
  }

  /** They are many, and all of them wait: only who may have something to do is looked at. */
  private goOn(client: Client): void {
    const { socket, outbox } = client;
    const hasCome = socket !== undefined && !client.isWatched; // Something, meanwhile.
    if (hasCome) this.watchClient(client, socket);
    if (hasCome || socket === undefined || client.pending !== undefined) this.turns.run(client);
    const isOwed = outbox.end !== outbox.sent; // It had not taken that before the pause.
    if (socket === undefined || isOwed || client.identity !== 0) this.turns.touch(client);
  }

  /**
   * Stops serving, between two requests. Nothing is lost: resume() goes on. A socket is watched
   * until something comes by it, since to forget them all would take longer than all of the rest.
   */
  pause(): void {
    if (this.isPaused) return;
    this.domains.prepare(this.store); // The turn whose end would do it may not have ended.
    this.isPaused = true;
    this.loop.onTurnEnd(() => false);
    this.turns.pause();
    this.domains.pause(this.clients);
    this.acceptor.pause();
    const { eventFd } = this.options.hypervisor;
    if (eventFd !== undefined) this.loop.forget(eventFd);
  }

  /** Everything that outlives the program, as it was when it was paused. Changes nothing. */
  parts(): DaemonParts {
    const { eventFd, changePort } = this.options.hypervisor;
    const events = eventFd === undefined ? undefined : { fd: eventFd, changePort };
    const clients = this.allClients().map((client) => client.parts());
    return { listeners: this.acceptor.listeners, events, clients };
  }

  /**
   * The socket of a client that another program still serves: adopt() goes on with it. Until then
   * it is watched until something comes by it, as after pause().
   */
  standBy(connection: number, socket: Fd): void {
    this.watchClient(this.newClient(connection, socket), socket);
  }

  /** The other program has closed it meanwhile. */
  dismiss(connection: number): void {
    const client = this.clients[connection];
    if (client === undefined) return;
    this.unwatch(client);
    client.socket?.[Symbol.dispose]();
    this.clients[connection] = undefined;
  }

  /**
   * Takes over what another program had, its store having been adopted. A socket that did not come
   * along, now or before, is disconnected. `areBound`: the event channels came with theirs.
   */
  adopt(parts: readonly ClientParts[], areBound: boolean): void {
    const { store, clients, domains, options } = this;
    adoptClients(parts, areBound, {
      store,
      clients,
      domains,
      log: options.log,
      newClient: (connection, socket) => this.newClient(connection, socket),
      ignoreRing: (connection, domid) => {
        this.connectRing(connection, domid, undefined).isIgnored = true;
      },
      restoreInput: (client, bytes) => this.turns.restoreInput(client, bytes),
      gone: (client) => this.gone(client),
    });
  }

  /** Serves a connected socket. */
  accept(socket: Fd): void {
    const connection = this.store.connectSocket(socket.number);
    const client = this.connectClient(connection, socket);
    if (!this.isPaused) this.watchClient(client, socket);
    this.turns.trace?.connected(client);
  }

  /**
   * Serves this one connection while everybody else waits, at once what came by it: the probe of a
   * live update.
   */
  acceptProbe(socket: Fd): void {
    this.accept(socket);
    const probe = this.clients.findLast((client) => client?.socket === socket);
    this.probe = probe;
    if (probe === undefined || !this.isPaused) return;
    this.watchClient(probe, socket);
    this.turns.woken(probe, READY_MASK.readable);
  }

  /** The service manager keeps this client's socket: from now on it is told when it is idle. */
  keep(client: Client, inode: number): void {
    client.identity = inode;
    this.turns.touch(client);
  }

  set traffic(told: ((client: Client, isTouched: boolean) => void) | undefined) {
    this.turns.traffic = told;
  }

  /** All clients there are. */
  allClients(): Client[] {
    return this.clients.filter((client) => client !== undefined);
  }

  /** Requests carried out since this daemon was made. */
  get requests(): number {
    return this.turns.requests;
  }

  /** Lets go of sockets and rings, for whoever goes on with them in this same process. */
  letGo(pages: "given up" | "kept" = "given up"): void {
    for (const client of this.clients) {
      if (client === undefined) continue;
      this.unwatch(client);
      if (pages === "given up") client.ring?.page[Symbol.dispose]();
    }
  }

  /** Looks for requests that came without an event. */
  lookAtRings(): void {
    this.domains.wakeAll(this.store);
  }

  /** Writes requests and answers down from now on, or no longer. */
  set trace(trace: RequestTrace | undefined) {
    this.turns.trace = trace;
  }
  get trace(): RequestTrace | undefined {
    return this.turns.trace;
  }

  /** Clients by connection, for those who look at them. */
  client(connection: number): Client | undefined {
    return this.clients[connection];
  }

  /** An answer to a CONTROL command that was put off. */
  answerControl(request: ControlRequest, answer: { readonly text: string }): void {
    const { connection, requestId, transactionId } = request;
    this.store.answerControl(connection, requestId, transactionId, answer);
    const client = this.clients[connection];
    if (client === undefined) return;
    client.owed = Math.max(0, client.owed - 1);
    this.turns.touch(client);
  }

  // ---- What the store asks for ----

  outboxOf(connection: number): Outbox {
    const client = this.clients[connection];
    if (client === undefined) return this.nowhere;
    this.turns.touch(client);
    return client.outbox;
  }

  domainExists(domid: number): boolean {
    return this.domains.exists(domid);
  }
  introduce(domid: number, connection: number, port: number): ErrorName | undefined {
    return this.domains.introduce(domid, connection, port);
  }
  rebind(_domid: number, connection: number, port: number): ErrorName | undefined {
    return this.domains.rebind(connection, port);
  }
  released(_domid: number, connection: number): void {
    this.domains.released(connection);
  }
  resumed(): void {
    // The store forgets the shutdown; VIRQ_DOM_EXC tells of the next one.
  }
  log(text: string): void {
    this.options.log(text);
  }
  logging(isOn: boolean): void {
    this.options.logging(isOn);
  }
  logSwitches(mask: number): void {
    this.options.logSwitches(mask);
  }
  control(request: ControlRequest): ControlAnswer {
    return this.options.control(request);
  }

  // ---- How clients end ----

  gone(client: Client): void {
    if (client.socket === undefined) return this.ignore(client, RING_ERROR.communication);
    if (client.isClosed) return;
    this.turns.trace?.gone(client);
    this.store.disconnect(client.connection);
    this.close(client);
  }

  broken(client: Client, what: "indices" | "protocol"): void {
    if (client.socket !== undefined) return this.gone(client);
    this.ignore(client, what === "indices" ? RING_ERROR.indices : RING_ERROR.protocol);
  }

  news(client: Client): void {
    this.domains.news(client);
  }

  overflowed(client: Client): void {
    client.outbox.hasOverflowed = false;
    if (client.socket === undefined) return; // Lost to a domain that does not read.
    this.options.log(
      `a client does not read: ${client.outbox.queuedBytes} bytes wait for it, it is disconnected`,
    );
    this.gone(client);
  }

  /** The domain still exists: it is told why, and nobody listens any more. */
  private ignore(client: Client, reason: number): void {
    if (client.isIgnored) return;
    client.isIgnored = true;
    this.options.log(`domain ${client.domid} is ignored from now on: ring error ${reason}`);
    const features = this.store.domainInfo(client.domid)?.features ?? 0;
    if (client.ring !== undefined && (features & RING_FEATURE_MASK.error) !== 0) {
      client.ring.error = reason;
      this.domains.news(client);
    }
    this.store.reset(client.connection);
    this.turns.forget(client);
  }

  private close(client: Client): void {
    if (client.isClosed) return;
    client.isClosed = true;
    this.turns.forget(client);
    this.clients[client.connection] = undefined;
    if (client.socket === undefined) return;
    this.unwatch(client);
    client.hangUp();
  }

  // ---- The loop ----

  private endTurn(): boolean {
    this.domains.prepare(this.store);
    const hasMore = this.turns.end();
    this.domains.prepare(this.store);
    this.eventTimeout.look();
    return hasMore;
  }

  private watchClient(client: Client, socket: Fd): void {
    client.waitMask = READY_MASK.readable;
    client.isWatched = true;
    this.loop.watch(socket, READY_MASK.readable, (mask) => {
      if (this.isPaused && client !== this.probe) this.unwatch(client);
      else this.turns.woken(client, mask);
    });
  }

  private unwatch(client: Client): void {
    if (client.socket !== undefined && client.isWatched) this.loop.forget(client.socket);
    client.isWatched = false;
  }

  private connectClient(connection: number, socket: Fd): Client {
    const client = this.newClient(connection, socket);
    this.store.setTag(connection, socket.number);
    return client;
  }

  private newClient(connection: number, socket: Fd): Client {
    const outbox = new ClientOutbox(this.pool, SOCKET_OUTPUT_BYTES_MAX);
    const client = new Client(connection, outbox, { socket, domid: this.options.ownDomid });
    this.clients[connection] = client;
    return client;
  }

  private connectRing(connection: number, domid: number, ring: Ring | undefined): Client {
    const outbox = new ClientOutbox(this.pool, RING_OUTPUT_BYTES_MAX);
    const transport = ring === undefined ? { domid } : { domid, ring };
    const client = new Client(connection, outbox, transport);
    this.clients[connection] = client;
    return client;
  }

  private ringClients() {
    return {
      connect: (connection: number, domid: number, ring: Ring | undefined) =>
        this.connectRing(connection, domid, ring),
      disconnect: (client: Client) => this.close(client),
      startAnew: (client: Client) => {
        this.turns.dropInput(client);
        client.outbox.clear();
        client.marks.length = 0;
        client.isHeld = false;
      },
      run: (client: Client) => this.turns.run(client),
      of: (connection: number) => this.clients[connection],
    };
  }
}
