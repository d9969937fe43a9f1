// Plays a guest of a xenstore daemon whose hypervisor is a folder: a ring page in a file, event
// channels in a FIFO. Peers and ours understand the same files:
//
//   ring.N   4096 bytes: the ring page of domain N, which exists while the file does
//   evtchn   FIFO: a native u32 raises a port; 1 is VIRQ_DOM_EXC, 100 + N domain N's
//   kick.N   FIFO: a byte arrives when the daemon notifies domain N
//   shut.N   domain N has shut down; dying.N: it is dying

import { closeSync, constants, existsSync, openSync, readSync, rmSync } from "node:fs";
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Fd, PollSet } from "../../lib/sys/index.ts";
import { ANSWER_MS } from "./store-socket.ts";
import { Inbox, type Message, messageBytes, OP, type OpName } from "./store-wire.ts";

export const RING = {
  requests: 0,
  responses: 1024,
  requestsConsumed: 2048,
  requestsProduced: 2052,
  responsesConsumed: 2056,
  responsesProduced: 2060,
  features: 2064,
  connection: 2068,
  error: 2072,
} as const;
const RING_BYTES = 1024;
const PAGE_BYTES = 4096;
const HEADER_BYTES = 16;
export const VIRQ_DOM_EXC = 1;
const PORT_BASE = 100;

/** Raises an event channel of the daemon. */
export function raise(shim: string, port: number): void {
  const fd = openSync(join(shim, "evtchn"), constants.O_WRONLY | constants.O_NONBLOCK);
  writeSync(fd, new Uint8Array(new Uint32Array([port]).buffer));
  closeSync(fd);
}

/** Makes it that a domain exists (again): an empty ring page. */
export function makeDomain(shim: string, domid: number): void {
  for (const name of ["shut", "dying"]) rmSync(join(shim, `${name}.${domid}`), { force: true });
  rmSync(join(shim, `ring.${domid}`), { force: true });
  writeFileSync(join(shim, `ring.${domid}`), new Uint8Array(PAGE_BYTES));
}

export const domainExists = (shim: string, domid: number): boolean =>
  existsSync(join(shim, `ring.${domid}`));

/** Ends a domain, and tells the daemon by VIRQ_DOM_EXC. */
export function endDomain(shim: string, domid: number): void {
  for (const name of ["ring", "shut", "dying"]) {
    rmSync(join(shim, `${name}.${domid}`), { force: true });
  }
  raise(shim, VIRQ_DOM_EXC);
}

/** The domain shuts down, or begins to die; its page stays. */
export function markDomain(shim: string, domid: number, state: "shut" | "dying"): void {
  writeFileSync(join(shim, `${state}.${domid}`), "");
  raise(shim, VIRQ_DOM_EXC);
}

export class StoreGuest implements Disposable {
  readonly domid: number;
  readonly page: Uint8Array;
  readonly events: Message[] = [];
  private readonly shim: string;
  private readonly view: DataView;
  private readonly inbox = new Inbox();
  private readonly kick: Fd;
  private readonly poll = new PollSet();
  private requests = 0;

  /** The domain exists: makeDomain(). */
  constructor(shim: string, domid: number) {
    this.shim = shim;
    this.domid = domid;
    this.page = Bun.mmap(join(shim, `ring.${domid}`), { shared: true });
    this.view = new DataView(this.page.buffer, this.page.byteOffset, PAGE_BYTES);
    const kick = join(shim, `kick.${domid}`);
    if (!existsSync(kick)) Bun.spawnSync(["mkfifo", kick]);
    this.kick = new Fd(openSync(kick, constants.O_RDWR | constants.O_NONBLOCK), kick);
    this.poll.add(this.kick, "readable");
  }

  field(at: number): number {
    return this.view.getUint32(at, true);
  }

  setField(at: number, value: number): void {
    this.view.setUint32(at, value >>> 0, true);
  }

  notify(): void {
    raise(this.shim, PORT_BASE + this.domid);
  }

  /**
   * Puts bytes on the ring as far as there is room; returns how many. As Linux does, it raises an
   * event only where the daemon had consumed all that was there before.
   */
  put(bytes: Uint8Array): number {
    const produced = this.field(RING.requestsProduced);
    const room = RING_BYTES - ((produced - this.field(RING.requestsConsumed)) >>> 0);
    const count = Math.min(Math.max(room, 0), bytes.length);
    for (let index = 0; index < count; index++) {
      this.page[RING.requests + ((produced + index) % RING_BYTES)] = bytes[index]!;
    }
    this.setField(RING.requestsProduced, produced + count);
    const isSeenEmpty = ((this.field(RING.requestsConsumed) - produced) | 0) >= 0;
    if (count > 0 && isSeenEmpty) this.notify();
    return count;
  }

  /** Takes what is on the ring; returns how many bytes. */
  drain(): number {
    const consumed = this.field(RING.responsesConsumed);
    const count = (this.field(RING.responsesProduced) - consumed) >>> 0;
    if (count === 0 || count > RING_BYTES) return 0;
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index++) {
      bytes[index] = this.page[RING.responses + ((consumed + index) % RING_BYTES)]!;
    }
    this.setField(RING.responsesConsumed, consumed + count);
    this.inbox.add(bytes);
    this.notify();
    return count;
  }

  /** The next message that is here; undefined where none is. */
  take(): Message | undefined {
    return this.inbox.take();
  }

  send(op: OpName | number, body: string, transaction: number): number {
    const request = ++this.requests;
    const type = typeof op === "number" ? op : OP[op];
    this.sendBytes(messageBytes({ type, request, transaction, body }));
    return request;
  }

  /** Sends all of it, and takes answers meanwhile; false where the daemon stops reading. */
  sendBytes(bytes: Uint8Array): boolean {
    const untilMs = performance.now() + ANSWER_MS;
    for (let sent = 0; sent < bytes.length;) {
      // Linux puts a request there in two parts, the header first.
      const end = sent < HEADER_BYTES ? HEADER_BYTES : bytes.length;
      sent += this.put(bytes.subarray(sent, end));
      if (sent === bytes.length) return true;
      if (this.field(RING.error) !== 0 || performance.now() > untilMs) return false;
      this.drain();
      this.waitForKick(1);
    }
    return true;
  }

  /** Sends a request and waits for its reply; undefined where the daemon has given us up. */
  ask(op: OpName | number, body: string, transaction: number): Message | undefined {
    const request = this.send(op, body, transaction);
    return this.reply(request);
  }

  reply(request: number): Message | undefined {
    const untilMs = performance.now() + ANSWER_MS;
    for (;;) {
      this.drain();
      for (let message = this.take(); message !== undefined; message = this.take()) {
        if (message.type !== OP.WATCH_EVENT) return message;
        this.events.push(message);
      }
      if (this.field(RING.error) !== 0) return undefined;
      if (performance.now() > untilMs) {
        throw new Error(`Domain ${this.domid}: request ${request} was not answered`);
      }
      this.waitForKick(1);
    }
  }

  private waitForKick(waitMs: number): void {
    if (!this.poll.wait(waitMs)) return;
    readSync(this.kick.number, new Uint8Array(PAGE_BYTES));
  }

  [Symbol.dispose](): void {
    this.poll[Symbol.dispose]();
    this.kick[Symbol.dispose]();
  }
}
