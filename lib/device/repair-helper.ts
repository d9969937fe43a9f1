// passt's TCP repair helper, for several passts at once.
//
// Each socket is in one of these states:
//
//   waiting    it is not there, or nobody listens; a change in its folder, or a timer, tries again
//   connected  passt may ask. It asks in batches and waits for the answer to each
//   resting    it closes each new connection at once: another helper is there (passt takes one)
//
// passt closes the connection after each transfer, also after one without TCP connections, and
// waits 10 ms for a helper when the next one begins: so a connection is made anew at once.
//
// A transfer of more than 253 sockets comes in several batches, and the sockets of an earlier one
// must not stay frozen when a later one fails. So the descriptors of a full batch are held until
// the next batch, which follows within microseconds, and never longer than HOLD_MS: passt closes
// these sockets itself, and a copy of ours would keep their addresses taken.

import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { hex, plural, RefusedError, SystemError } from "../base/index.ts";
import {
  connectUnix,
  DESCRIPTORS_MAX,
  type Fd,
  FolderWatch,
  type Loop,
  makeNonBlocking,
  monotonicMs,
  peerProcessOf,
  READY_MASK,
  receiveDescriptors,
  type Received,
  sendDescriptors,
  type Timer,
} from "../sys/index.ts";
import { distrustOf } from "./peer-trust.ts";
import {
  repairBatch,
  repairCommandOf,
  takeBack,
  type RepairCommand,
  type RepairFailure,
} from "./tcp-repair.ts";

const SUFFIX = ".repair";
const CONNECT_WAIT_MS = 100;
/** After a name appeared its owner has still to listen on it. */
const SOON_MS = 5;
const SOON_TRIES = 20;
const LATER_MS = 1000;
const TURNED_AWAY_MS = 20;
const TURNED_AWAY_MAX = 3;
const HOLD_MS = 5;

/** What happened, for whoever tells the operator. `path` is the socket. */
export type RepairEvent = { readonly path: string } & (
  | { readonly kind: "connected"; readonly pid: number; readonly uid: number }
  | { readonly kind: "done"; readonly command: RepairCommand; readonly count: number }
  | { readonly kind: "failed"; readonly command: RepairCommand; readonly failure: RepairFailure }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "closed" }
);

export interface RepairOptions {
  readonly loop: Loop;
  /** Sockets, or folders in which every name ending in ".repair" is one. */
  readonly paths: readonly string[];
  /** Users whose programs are served wherever their socket is. */
  readonly trusted: ReadonlySet<number>;
  readonly onEvent: (event: RepairEvent) => void;
}

/** Owns its connections and the watch on folders. */
export class RepairHelper implements Disposable {
  private readonly loop: Loop;
  private readonly options: RepairOptions;
  private readonly watch = new FolderWatch();
  private readonly clients = new Map<string, Client>();
  private sweepTimer: Timer | undefined;

  constructor(options: RepairOptions) {
    this.options = options;
    this.loop = options.loop;
    this.loop.watch(this.watch.fd, READY_MASK.readable, () => {
      this.watch.drain();
      this.look();
    });
    this.sweep();
  }

  /** How many passts are connected now. */
  get connectedCount(): number {
    return [...this.clients.values()].filter(({ isConnected }) => isConnected).length;
  }

  [Symbol.dispose](): void {
    for (const client of this.clients.values()) client[Symbol.dispose]();
    if (this.sweepTimer !== undefined) this.loop.cancel(this.sweepTimer);
    this.loop.forget(this.watch.fd);
    this.watch[Symbol.dispose]();
  }

  /** A folder that comes later, or a socket whose owner began to listen late, is no event. */
  private sweep(): void {
    this.look();
    this.sweepTimer = this.loop.after(LATER_MS, () => this.sweep());
  }

  private look(): void {
    for (const path of this.options.paths) {
      const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
      this.watchFolder(isFolder ? path : dirname(path));
      for (const socket of isFolder ? socketsIn(path) : [path]) this.clientOf(socket).look();
    }
  }

  private watchFolder(folder: string): void {
    try {
      this.watch.add(folder);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // Not there yet: the sweep looks again.
    }
  }

  private clientOf(path: string): Client {
    const known = this.clients.get(path);
    if (known !== undefined) return known;
    const client = new Client(path, this.options);
    this.clients.set(path, client);
    return client;
  }
}

const socketsIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => join(folder, name));

/** Root without its other capabilities is bound by the rights of files, as anybody is. */
const adviceFor = ({ failure }: SystemError): string =>
  failure.code === "EACCES" ? ": run the helper as that passt's user, with CAP_NET_ADMIN" : "";

/** One socket and, while there is one, the connection to it. */
class Client implements Disposable {
  private readonly path: string;
  private readonly options: RepairOptions;
  private socket: Fd | undefined;
  private held: Received[] = [];
  private holdTimer: Timer | undefined;
  private retryTimer: Timer | undefined;
  private soonTries = 0;
  private connectedAtMs = 0;
  /** Connections in a row that were closed as soon as they were there. */
  private turnedAway = 0;
  private restUntilLater = false;
  private lastReason = "";

  constructor(path: string, options: RepairOptions) {
    this.path = path;
    this.options = options;
  }

  get isConnected(): boolean {
    return this.socket !== undefined;
  }

  /** Connects if the socket is there and nobody is connected. */
  look(): void {
    if (this.socket !== undefined || this.restUntilLater) return;
    if (statSync(this.path, { throwIfNoEntry: false })?.isSocket() !== true) return;
    let socket: Fd;
    try {
      socket = connectUnix({ path: this.path, kind: "stream", waitMs: CONNECT_WAIT_MS });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.failure.code === "ECONNREFUSED") this.retrySoon();
      else this.refuse(`${error.message}${adviceFor(error)}`);
      return;
    }
    this.begin(socket);
  }

  [Symbol.dispose](): void {
    this.release();
    if (this.retryTimer !== undefined) this.options.loop.cancel(this.retryTimer);
    if (this.socket === undefined) return;
    this.options.loop.forget(this.socket);
    this.socket[Symbol.dispose]();
    this.socket = undefined;
  }

  private begin(socket: Fd): void {
    const peer = peerProcessOf(socket.number);
    const reason =
      peer === undefined
        ? "the kernel does not tell whose it is"
        : distrustOf(this.path, peer, this.options.trusted);
    if (peer === undefined || reason !== undefined) {
      socket[Symbol.dispose]();
      this.refuse(`Cannot serve "${this.path}": ${reason}`);
      return;
    }
    makeNonBlocking(socket);
    this.socket = socket;
    this.soonTries = 0;
    this.connectedAtMs = monotonicMs();
    this.options.loop.watch(socket, READY_MASK.readable, () => this.serve(socket));
    this.lastReason = "";
    this.tell({ kind: "connected", pid: peer.pid, uid: peer.uid, path: this.path });
  }

  private serve(socket: Fd): void {
    let message: Received | undefined;
    try {
      message = receiveDescriptors(socket, 1);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
      this.fail(error.message);
      return;
    }
    if (message === undefined) return;
    const [byte] = message.bytes;
    if (byte === undefined) {
      this.close();
      return;
    }
    const { descriptors } = message;
    const command = repairCommandOf(byte);
    if (command === undefined || descriptors.length === 0) {
      message[Symbol.dispose]();
      const found = `${hex(byte)} with ${plural(descriptors.length, "descriptor")}`;
      const wanted = "wanted a command of 1, 0 or -1 with 1 to 253 sockets";
      this.fail(`Cannot serve "${this.path}": ${wanted}, found ${found}`);
      return;
    }
    this.repair(socket, command, message);
  }

  private repair(socket: Fd, command: RepairCommand, message: Received): void {
    const sockets = message.descriptors.map(({ number }) => number);
    const failure = repairBatch(sockets, command);
    this.turnedAway = 0;
    if (failure !== undefined) {
      message[Symbol.dispose]();
      const earlier = this.held.flatMap(({ descriptors }) => descriptors);
      const takenBack = failure.takenBack + takeBack(earlier.map(({ number }) => number));
      this.tell({ kind: "failed", command, failure: { ...failure, takenBack }, path: this.path });
      this.close();
      return;
    }
    // Held until the answer is on its way: without one, passt does not know that they are frozen.
    this.hold(message);
    try {
      const sent = sendDescriptors(socket, message.bytes, []);
      if (sent === 0) throw new RefusedError(`Cannot answer "${this.path}": it does not read`);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
      this.fail(error.message);
      return;
    }
    // The last batch of a transfer: see above.
    if (command !== "on" || sockets.length < DESCRIPTORS_MAX) this.release();
    this.tell({ kind: "done", command, count: sockets.length, path: this.path });
  }

  private hold(message: Received): void {
    this.held.push(message);
    if (message.descriptors.length < DESCRIPTORS_MAX) return; // Only while it is answered.
    if (this.holdTimer !== undefined) this.options.loop.cancel(this.holdTimer);
    this.holdTimer = this.options.loop.after(HOLD_MS, () => this.release());
  }

  private release(): void {
    for (const message of this.held) message[Symbol.dispose]();
    this.held = [];
    if (this.holdTimer !== undefined) this.options.loop.cancel(this.holdTimer);
    this.holdTimer = undefined;
  }

  /** After what makes no sense, and when passt cannot be answered. */
  private fail(reason: string): void {
    takeBack(this.held.flatMap(({ descriptors }) => descriptors).map(({ number }) => number));
    this.turnedAway = TURNED_AWAY_MAX; // Whoever sends such a thing is not to be asked at once.
    this.refuse(reason);
    this.close();
  }

  private close(): void {
    const lastedMs = monotonicMs() - this.connectedAtMs;
    if (lastedMs < TURNED_AWAY_MS) this.turnedAway += 1;
    else if (this.turnedAway < TURNED_AWAY_MAX) this.turnedAway = 0;
    this[Symbol.dispose]();
    this.tell({ kind: "closed", path: this.path });
    if (this.turnedAway < TURNED_AWAY_MAX) this.look();
    else this.rest();
  }

  private rest(): void {
    this.restUntilLater = true;
    this.retryTimer = this.options.loop.after(LATER_MS, () => {
      this.restUntilLater = false;
      this.turnedAway = 0;
      this.look();
    });
  }

  private retrySoon(): void {
    this.soonTries += 1;
    if (this.soonTries > SOON_TRIES) {
      // A socket that was left behind: the sweep looks on.
      this.refuse(`Cannot serve "${this.path}": nobody listens on it`);
      return;
    }
    this.retryTimer = this.options.loop.after(SOON_MS, () => this.look());
  }

  /** Told once, not at each try. */
  private refuse(reason: string): void {
    if (this.socket === undefined) this.rest();
    if (reason === this.lastReason) return;
    this.lastReason = reason;
    this.tell({ kind: "refused", reason, path: this.path });
  }

  private tell(event: RepairEvent): void {
    this.options.onEvent(event);
  }
}
