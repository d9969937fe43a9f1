// One connection as the daemon sees it: where its bytes come from and go to, the input that is not
// a whole request yet, and what it has still to be sent.

import { assert } from "../base/index.ts";
import { receiveNow, sendNow, shutdownConnection, SOCKET_GONE, SOCKET_WAIT } from "../sys/index.ts";
import type { Fd, PoolBuffer } from "../sys/index.ts";
import type { ClientOutbox } from "./outbox.ts";
import type { ClientParts } from "./parts.ts";
import { type Ring, RING_BROKEN, RING_WAIT } from "./ring.ts";

/** receive() and send() tell so when they cannot go on. The same for sockets and rings. */
export const TRANSPORT = { wait: -1, broken: -2, end: 0 } as const;

assert(SOCKET_WAIT === TRANSPORT.wait, "a socket waits with the common number");
assert(RING_WAIT === TRANSPORT.wait, "a ring waits with the common number");
assert(SOCKET_GONE === TRANSPORT.broken, "a socket breaks with the common number");
assert(RING_BROKEN === TRANSPORT.broken, "a ring breaks with the common number");

/** Everything in front of this place of the output stood there at that time. */
export interface Mark {
  position: number;
  readonly firstMs: number;
  lastMs: number;
}

const NO_BYTES = new Uint8Array(0);
let serials = 0;

export class Client {
  /** Row of the connection in the store. */
  readonly connection: number;
  readonly outbox: ClientOutbox;
  /** One of the two; neither for the domain we run in where it has no ring. */
  readonly socket: Fd | undefined;
  readonly ring: Ring | undefined;
  /** Of a ring's client. */
  readonly domid: number;
  /** Its event channel at our end; 0 for none. */
  port = 0;

  /** Requests that came and were not carried out yet, the last of them perhaps in part. */
  pending: PoolBuffer | undefined;
  pendingStart = 0;
  pendingEnd = 0;

  /** The loop waits for something on its socket. */
  isWatched = false;
  /** What that is, as a mask. */
  waitMask = 0;
  /** In the list of those that go on without being woken. */
  isRunnable = false;
  /** In the list of those that have output from this turn. */
  isDirty = false;
  /** Too much is queued, or a quota is used up: nothing is read from it. */
  isHeld = false;
  /** It broke the protocol; its domain still exists. Nothing is read or sent any more. */
  isIgnored = false;
  isClosed = false;
  /** It has had traffic with this program: see Turns.traffic. */
  isTouched = false;
  /** Number of the turn in which it was served last. */
  turn = 0;
  /** How old is what an unprivileged domain does not take: see event-timeout.ts. */
  readonly marks: Mark[] = [];
  /** Of its domain among all that ever were; undefined where nobody tells. */
  uniqueId: bigint | undefined = undefined;
  /** Counts up over all clients of this program: no two that ever were have the same. */
  readonly serial = ++serials;
  /** Inode number of a socket that the service manager keeps; else 0: see kept-clients.ts. */
  identity = 0;
  private ownKey: string | undefined = undefined;
  /** Requests whose answers come later. */
  owed = 0;
  /** Carried out since it came. */
  requests = 0;

  constructor(
    connection: number,
    outbox: ClientOutbox,
    transport: { readonly socket?: Fd; readonly ring?: Ring; readonly domid: number },
  ) {
    this.connection = connection;
    this.outbox = outbox;
    this.socket = transport.socket;
    this.ring = transport.ring;
    this.domid = transport.domid;
  }

  /** Of its socket among all descriptors: two sockets never have the same. */
  get key(): string {
    this.ownKey ??= `client ${this.connection} ${this.serial}`;
    return this.ownKey;
  }

  /** Its socket is all that there is of it: nothing is here in part. */
  get isAtRest(): boolean {
    const { socket, pending, outbox } = this;
    return socket !== undefined && pending === undefined && outbox.start === outbox.end;
  }

  /** As it goes to another program. Nothing is changed by it. */
  parts(): ClientParts {
    const { outbox, pending, ring, keptBytes } = this;
    const inputEnd = this.pendingEnd - (ring?.standing(keptBytes) ?? 0);
    return {
      connection: this.connection,
      kind: this.socket === undefined ? "ring" : "socket",
      socket: this.socket,
      domid: this.domid,
      port: this.port,
      ring: ring?.place(keptBytes),
      input: pending?.bytes.slice(this.pendingStart, inputEnd) ?? NO_BYTES,
      output: outbox.copy(),
      sentBytes: outbox.sent - outbox.start,
      isIgnored: this.isIgnored,
    };
  }

  /** Ends the connection, for every program that has it. */
  hangUp(): void {
    if (this.socket === undefined) return;
    shutdownConnection(this.socket);
    this.socket[Symbol.dispose]();
  }

  receive(address: number, bytes: number): number {
    if (this.socket !== undefined) return receiveNow(this.socket.number, address, bytes);
    return this.ring?.receive(address, bytes) ?? TRANSPORT.wait;
  }

  /** What came of requests that were not carried out. */
  get keptBytes(): number {
    return this.pending === undefined ? 0 : this.pendingEnd - this.pendingStart;
  }

  /** All that was carried out is answered: its requests need not stand on the ring any more. */
  release(): void {
    this.ring?.release(this.keptBytes);
  }

  send(address: number, bytes: number): number {
    if (this.socket !== undefined) return sendNow(this.socket.number, address, bytes);
    return this.ring?.send(address, bytes) ?? TRANSPORT.wait;
  }
}
