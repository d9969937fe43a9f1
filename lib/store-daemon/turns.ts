// Serving clients: the requests of each in their order, clients in turns.
//
// Theory of Operation. A turn begins with one receive into a buffer that all share. Every whole
// request in it is carried out from there; one send takes all answers. Only what is left over (part
// of a request, or more of them than a client gets in a turn) is copied into memory of its own. A
// client with requests left goes on in the next turn, behind those that woke us, so that one that
// floods us delays the others by its share and no more. Nothing is made per request.
//
// What is queued for a client is bounded: above OUTPUT_HOLD_BYTES nothing more is read from it
// until it has taken some. Events of others come on top of that; see the limits in store-daemon.ts.

import { type Loop, monotonicMs, type PoolBuffer, READY_MASK, reserve } from "../sys/index.ts";
import { copyMemory, type BufferPool } from "../sys/index.ts";
import { HEADER_BYTES, OUTCOME, PAYLOAD_BYTES_MAX, type XenStore } from "../xenstore/index.ts";
import { type Client, TRANSPORT } from "./client.ts";
import { markQueued } from "./event-timeout.ts";
import { HoldingRings } from "./holding-rings.ts";
import type { RequestTrace } from "./request-trace.ts";

const LENGTH_AT = 12;
/** What one receive takes. A request has at most 4112 bytes. */
const INPUT_BYTES = 32 * 1024;
/** What a client gets in a turn while others wait. */
const REQUESTS_PER_TURN = 32;
/** Far more than a client that waits for its answers ever has queued. */
const OUTPUT_HOLD_BYTES = 4 * 1024 * 1024;

const input = reserve(INPUT_BYTES);

/** What the daemon does when a client comes to its end. None of it is called during a request. */
export interface Endings {
  /** It has gone, or cannot be written to any more. */
  gone(client: Client): void;
  /** Its counters, or its messages, are impossible. */
  broken(client: Client, what: "indices" | "protocol"): void;
  /** Something is to be told to the other end of its ring. */
  news(client: Client): void;
  /** There was no room for a message. */
  overflowed(client: Client): void;
}

export class Turns {
  private readonly store: XenStore;
  private readonly loop: Loop;
  private readonly pool: BufferPool;
  private readonly endings: Endings;
  /** Carried out, for all clients that there were. */
  requests = 0;
  private turn = 1;
  private runnable: Client[] = [];
  private next: Client[] = [];
  private readonly dirty: Client[] = [];
  /** Rings that are not read because of a quota: looked at again each turn. */
  private readonly held = new Set<Client>();
  /** Rings on which more may come without an event. */
  private readonly holding: HoldingRings;
  /** Guests that have not taken all that was queued for them. */
  readonly late = new Set<Client>();
  /** Set while requests are written down. */
  trace: RequestTrace | undefined = undefined;
  /**
   * Set while the program before us could still go on without us: told before a client's first byte
   * goes either way, and taken back where none did.
   */
  traffic: ((client: Client, isTouched: boolean) => void) | undefined = undefined;

  constructor(
    store: XenStore,
    parts: { readonly loop: Loop; readonly pool: BufferPool; readonly endings: Endings },
  ) {
    this.store = store;
    this.loop = parts.loop;
    this.pool = parts.pool;
    this.endings = parts.endings;
    this.holding = new HoldingRings(parts.loop, (client) => this.run(client));
  }

  /** A client's socket is ready. */
  woken(client: Client, readyMask: number): void {
    if (client.isClosed) return;
    if ((readyMask & READY_MASK.writable) !== 0) {
      this.flush(client);
      if (client.identity !== 0) this.touch(client);
    }
    if (client.isClosed) return;
    if (!client.isHeld && (readyMask & ~READY_MASK.writable) !== 0) this.serve(client);
    else if ((readyMask & (READY_MASK.hangUp | READY_MASK.failed)) !== 0) this.endings.gone(client);
  }

  /** Serves the client before the next sleep. */
  run(client: Client): void {
    if (client.isRunnable || client.isClosed || client.isIgnored) return;
    client.isRunnable = true;
    this.next.push(client);
  }

  /** Sends what the client has queued before the next sleep. */
  touch(client: Client): void {
    if (client.isDirty) return;
    client.isDirty = true;
    this.dirty.push(client);
    if (client.identity !== 0) this.store.setIdle(client.connection, 0);
  }

  /** Ends a wake-up. True when there is more to do at once. */
  end(): boolean {
    for (const client of this.held) {
      if (this.mayRead(client)) this.release(client);
    }
    // Those that are added meanwhile go on in the next turn.
    [this.runnable, this.next] = [this.next, this.runnable];
    for (const client of this.runnable) {
      client.isRunnable = false;
      if (client.turn !== this.turn) this.serve(client);
      else this.run(client);
    }
    this.runnable.length = 0;
    for (const client of this.dirty) {
      client.isDirty = false;
      if (client.isClosed) continue;
      this.flush(client);
      if (client.outbox.hasOverflowed) this.endings.overflowed(client);
      if (client.identity !== 0) this.rest(client);
    }
    this.dirty.length = 0;
    this.trace?.flush();
    this.turn += 1;
    return this.next.length > 0;
  }

  /** Looks at no ring any more, until clients are run again. */
  pause(): void {
    this.holding.clear();
  }

  /** Forgets about a client that is closed. */
  forget(client: Client): void {
    this.holding.delete(client);
    this.held.delete(client);
    this.late.delete(client);
    this.dropInput(client);
    client.outbox.clear();
  }

  /** Forgets what came of a request: the client begins anew. */
  dropInput(client: Client): void {
    if (client.pending === undefined) return;
    this.pool.give(client.pending);
    client.pending = undefined;
  }

  /** Gives the client input that came through another program. False: there is no memory. */
  restoreInput(client: Client, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    client.pending = this.pool.take(bytes.length);
    if (client.pending === undefined) return false;
    client.pending.bytes.set(bytes);
    client.pendingStart = 0;
    client.pendingEnd = bytes.length;
    this.run(client);
    return true;
  }

  private serve(client: Client): void {
    if (client.isClosed || client.isIgnored || client.isHeld) return;
    client.turn = this.turn;
    const { pending } = client;
    if (pending !== undefined && holdsWhole(client, pending)) {
      this.carryOut(client, pending, client.pendingStart, client.pendingEnd);
      return;
    }
    const kept = pending === undefined ? 0 : client.pendingEnd - client.pendingStart;
    const isUntouched = this.traffic !== undefined && this.announce(client);
    if (client.identity !== 0) this.store.setIdle(client.connection, 0);
    const got = client.receive(input.address + kept, INPUT_BYTES - kept);
    if (got <= 0) {
      if (isUntouched && got === TRANSPORT.wait) this.takeBack(client);
      this.gotNothing(client, got);
      return;
    }
    if (pending !== undefined) {
      copyMemory(input.address, pending.address + client.pendingStart, kept);
      this.dropInput(client);
    }
    this.carryOut(client, input, 0, kept + got);
  }

  /** True when this is the client's first traffic. */
  private announce(client: Client): boolean {
    if (client.isTouched) return false;
    client.isTouched = true;
    this.traffic?.(client, true);
    return true;
  }

  private takeBack(client: Client): void {
    client.isTouched = false;
    this.traffic?.(client, false);
  }

  private gotNothing(client: Client, got: number): void {
    if (client.socket === undefined) {
      if (got === TRANSPORT.broken) this.endings.broken(client, "indices");
      else this.flush(client); // Woken because the guest has taken some of its answers.
      return;
    }
    if (got !== TRANSPORT.wait) this.endings.gone(client);
    else if (client.identity !== 0) this.touch(client);
  }

  /** Notes that nothing of the client is in our hands, where that is so: see kept-clients.ts. */
  private rest(client: Client): void {
    const { outbox } = client;
    const isOurs = client.pending !== undefined || client.owed > 0 || outbox.end !== outbox.sent;
    if (isOurs || client.isClosed) return;
    this.store.setIdle(client.connection, client.identity);
  }

  /** Carries out the requests from `start`; the buffer is the shared one, or the client's own. */
  private carryOut(client: Client, buffer: Buffered, start: number, end: number): void {
    const { bytes, view } = buffer;
    const { connection, outbox } = client;
    let at = start;
    let count = 0;
    while (end - at >= HEADER_BYTES) {
      const length = view.getUint32(at + LENGTH_AT, true);
      if (length > PAYLOAD_BYTES_MAX) {
        this.flush(client);
        if (!client.isClosed) this.endings.broken(client, "protocol");
        return;
      }
      const next = at + HEADER_BYTES + length;
      if (next > end) break;
      if (count === REQUESTS_PER_TURN || this.mustHold(client)) break;
      if (this.trace !== undefined) this.trace.request(client, bytes, at);
      if (this.store.dispatch(connection, bytes, at) === OUTCOME.later) client.owed += 1;
      at = next;
      count += 1;
      if (client.isClosed) return;
    }
    client.requests += count;
    this.requests += count;
    if (at < end) this.keep(client, buffer, at, end);
    else if (client.pending !== undefined) this.dropInput(client);
    if (count === REQUESTS_PER_TURN) this.run(client);
    if (outbox.end !== outbox.sent) this.flush(client);
    else this.lookAgain(client);
  }

  /** Tells a guest what has changed on its ring, and sees to what comes without an event. */
  private lookAgain(client: Client): void {
    const { ring } = client;
    if (ring === undefined || client.isClosed) return;
    if (ring.hasNews) this.endings.news(client);
    if (ring.hasInput) this.run(client);
    else if (ring.isHolding && !client.isIgnored) this.holding.add(client);
  }

  /** Keeps what could not be carried out yet. */
  private keep(client: Client, buffer: Buffered, at: number, end: number): void {
    if (buffer === client.pending) {
      client.pendingStart = at;
      client.pendingEnd = end;
      return;
    }
    const kept = this.pool.take(end - at);
    if (kept === undefined) {
      this.endings.gone(client); // Out of memory: this one is the last to have asked.
      return;
    }
    copyMemory(kept.address, input.address + at, end - at);
    client.pending = kept;
    client.pendingStart = 0;
    client.pendingEnd = end - at;
  }

  private mustHold(client: Client): boolean {
    if (this.mayRead(client)) return false;
    client.isHeld = true;
    if (client.socket === undefined) this.held.add(client);
    this.settle(client);
    return true;
  }

  private mayRead(client: Client): boolean {
    const { outbox } = client;
    const queued = outbox.end - outbox.sent;
    if (client.socket !== undefined) return queued < OUTPUT_HOLD_BYTES;
    const replies = queued === 0 ? 0 : outbox.countReplies();
    return this.store.hold(client.connection, replies, queued) === "none";
  }

  private release(client: Client): void {
    client.isHeld = false;
    this.held.delete(client);
    this.run(client);
  }

  /** Sends what is queued, as much as goes. */
  flush(client: Client): void {
    const { outbox } = client;
    const queued = outbox.end - outbox.sent;
    if (queued > 0 && !client.isIgnored) {
      this.trace?.output(client);
      if (this.traffic !== undefined) this.announce(client);
      const { ring } = client;
      if (ring !== undefined) {
        const requestsEnd = ring.requestsEnd(client.keptBytes);
        this.store.setRingEnds(client.connection, ring.answersEnd(queued), requestsEnd);
      }
      const sent = client.send(outbox.address, queued);
      if (sent === queued) {
        outbox.clear();
      } else if (sent === TRANSPORT.broken) {
        if (client.socket === undefined) this.endings.broken(client, "indices");
        else this.endings.gone(client);
        return;
      } else {
        if (sent > 0) outbox.advance(sent);
        if (client.ring !== undefined) this.noteLate(client);
      }
    }
    if (client.ring !== undefined && outbox.end === outbox.sent) client.release();
    this.lookAgain(client);
    if (client.waitMask !== READY_MASK.readable || outbox.end !== outbox.sent) this.settle(client);
  }

  private noteLate(client: Client): void {
    markQueued(client, monotonicMs());
    this.late.add(client);
  }

  /** Waits for what the client is to be waited for. */
  private settle(client: Client): void {
    const { socket, outbox } = client;
    const queued = outbox.end - outbox.sent;
    if (client.isHeld && socket !== undefined && queued < OUTPUT_HOLD_BYTES / 2) {
      this.release(client);
    }
    if (socket === undefined) return;
    const wanted =
      (client.isHeld ? 0 : READY_MASK.readable) | (queued === 0 ? 0 : READY_MASK.writable);
    if (wanted === client.waitMask) return;
    client.waitMask = wanted;
    this.loop.change(socket, wanted);
  }
}

type Buffered = Pick<PoolBuffer, "bytes" | "view">;

function holdsWhole(client: Client, pending: PoolBuffer): boolean {
  const { pendingStart, pendingEnd } = client;
  const have = pendingEnd - pendingStart;
  if (have < HEADER_BYTES) return false;
  const length = pending.view.getUint32(pendingStart + LENGTH_AT, true);
  return length > PAYLOAD_BYTES_MAX || have >= HEADER_BYTES + length;
}
