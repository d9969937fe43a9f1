// A store without a daemon: its arena in plain memory, its clients as queues that a test reads.

import { assert } from "../../lib/base/index.ts";
import {
  adoptStore,
  type ControlAnswer,
  type ControlRequest,
  type ErrorName,
  formatStore,
  HEADER_BYTES,
  type Host,
  OPERATION,
  type Outbox,
  type StoreMemory,
  type StoreOptions,
  type XenStore,
} from "../../lib/xenstore/index.ts";

/** Memory that moves whenever it grows, so that a view that was kept too long shows. */
export class PlainMemory implements StoreMemory {
  buffer: ArrayBuffer;
  private readonly bytesMax: number;

  constructor(bytes: number, bytesMax = 2 ** 30) {
    this.buffer = new ArrayBuffer(bytes);
    this.bytesMax = bytesMax;
  }

  grow(bytes: number): ArrayBuffer {
    if (bytes > this.bytesMax) throw new RangeError(`wanted at most ${this.bytesMax} bytes`);
    const larger = new Uint8Array(Math.ceil(bytes / 4096) * 4096);
    larger.set(new Uint8Array(this.buffer));
    this.buffer = larger.buffer;
    return this.buffer;
  }

  copy(): PlainMemory {
    const copied = new PlainMemory(0, this.bytesMax);
    copied.buffer = this.buffer.slice(0);
    return copied;
  }
}

export class TestOutbox implements Outbox {
  bytes: Uint8Array = Buffer.alloc(1024);
  start = 0;
  end = 0;

  reserve(bytes: number): boolean {
    if (this.end + bytes > this.bytes.length) {
      const larger = Buffer.alloc((this.end + bytes) * 2);
      larger.set(this.bytes.subarray(0, this.end));
      this.bytes = larger;
    }
    return true;
  }
}

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transactionId: number;
  /** Latin-1, NULs as they are. */
  readonly text: string;
}

/** Stands in for the daemon and the hypervisor. */
export class TestHost implements Host {
  readonly outboxes: TestOutbox[] = [];
  readonly existing = new Set<number>([0]);
  readonly lines: string[] = [];
  readonly calls: string[] = [];
  refusal: ErrorName | undefined;
  controlAnswer: ControlAnswer = { text: "OK" };
  controlRequest: ControlRequest | undefined;

  outboxOf(connection: number): TestOutbox {
    return (this.outboxes[connection] ??= new TestOutbox());
  }
  domainExists(domid: number): boolean {
    return this.existing.has(domid);
  }
  introduce(domid: number, connection: number, port: number): ErrorName | undefined {
    this.calls.push(`introduce ${domid} ${connection} ${port}`);
    return this.refusal;
  }
  rebind(domid: number, connection: number, port: number): ErrorName | undefined {
    this.calls.push(`rebind ${domid} ${connection} ${port}`);
    this.outboxOf(connection).start = this.outboxOf(connection).end = 0;
    return this.refusal;
  }
  released(domid: number, connection: number): void {
    this.calls.push(`released ${domid} ${connection}`);
    delete this.outboxes[connection];
  }
  resumed(domid: number): void {
    this.calls.push(`resumed ${domid}`);
  }
  log(text: string): void {
    this.lines.push(text);
  }
  logging(isOn: boolean): void {
    this.calls.push(`logging ${isOn}`);
  }
  logSwitches(mask: number): void {
    this.calls.push(`switches ${mask}`);
  }
  control(request: ControlRequest): ControlAnswer {
    this.controlRequest = request;
    return this.controlAnswer;
  }

  /** What is queued for a connection, which is empty afterwards. */
  drain(connection: number): Message[] {
    const outbox = this.outboxOf(connection);
    const messages: Message[] = [];
    const bytes = Buffer.from(outbox.bytes.buffer, outbox.bytes.byteOffset, outbox.bytes.length);
    let at = outbox.start;
    while (at < outbox.end) {
      const length = bytes.readUInt32LE(at + 12);
      messages.push({
        type: bytes.readUInt32LE(at),
        requestId: bytes.readUInt32LE(at + 4),
        transactionId: bytes.readUInt32LE(at + 8),
        text: bytes.toString("latin1", at + HEADER_BYTES, at + HEADER_BYTES + length),
      });
      at += HEADER_BYTES + length;
    }
    assert(at === outbox.end, "messages are whole");
    outbox.start = outbox.end = 0;
    return messages;
  }
}

export const OPTIONS: StoreOptions = {
  privilegedDomid: 0,
  storeDomid: 0,
  seed: 0x1234_5678,
  quotas: {},
  keepOrphans: false,
};

/** A request as it stands in a receive buffer, not at its start. */
export function requestBytes(
  type: number,
  payload: string | Uint8Array,
  transactionId: number,
  requestId: number,
): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const bytes = Buffer.alloc(3 + HEADER_BYTES + body.length);
  bytes.writeUInt32LE(type, 3);
  bytes.writeUInt32LE(requestId >>> 0, 7);
  bytes.writeUInt32LE(transactionId >>> 0, 11);
  bytes.writeUInt32LE(body.length, 15);
  bytes.set(body, 3 + HEADER_BYTES);
  return bytes;
}

/** A store with helpers that speak of operations by name. */
export class TestStore {
  readonly memory: PlainMemory;
  readonly host = new TestHost();
  store: XenStore;
  private requests = 0;

  constructor(options: Partial<StoreOptions> = {}, memory = new PlainMemory(0)) {
    this.memory = memory;
    this.store = formatStore(memory, this.host, { ...OPTIONS, ...options });
  }

  /** The next program takes the same memory over. */
  adopt(): void {
    this.store = adoptStore(this.memory, this.host);
  }

  socket(): number {
    return this.store.connectSocket(7);
  }

  /** A guest with a ring. */
  guest(domid: number): number {
    this.host.existing.add(domid);
    const connection = this.store.introduceFirst(domid, 1);
    return connection;
  }

  /** Sends a request; gives what was queued for the connection since. */
  send(
    connection: number,
    operation: keyof typeof OPERATION | number,
    payload: string | Uint8Array,
    transactionId = 0,
  ): Message[] {
    const type = typeof operation === "number" ? operation : OPERATION[operation];
    const requestId = ++this.requests;
    const bytes = requestBytes(type, payload, transactionId, requestId);
    this.store.dispatch(connection, bytes, 3);
    const messages = this.host.drain(connection);
    for (const message of messages) {
      if (message.type === OPERATION.WATCH_EVENT) continue;
      assert(message.requestId === requestId, "a reply repeats req_id");
      assert(message.transactionId === transactionId, "a reply repeats tx_id");
      assert(message.type === type || message.type === OPERATION.ERROR, "a reply repeats type");
    }
    return messages;
  }

  /** The reply's text; of an error "!" and its name. Events are dropped. */
  ask(
    connection: number,
    operation: keyof typeof OPERATION | number,
    payload: string | Uint8Array,
    transactionId = 0,
  ): string {
    const messages = this.send(connection, operation, payload, transactionId);
    const replies = messages.filter(({ type }) => type !== OPERATION.WATCH_EVENT);
    assert(replies.length === 1, "a request has one reply");
    const { type, text } = replies[0]!;
    return type === OPERATION.ERROR ? `!${text.slice(0, -1)}` : text;
  }

  begin(connection: number): number {
    return Number(this.ask(connection, "TRANSACTION_START", "\0").slice(0, -1));
  }

  /** Events queued for a connection, as "path token". */
  events(connection: number): string[] {
    return this.host
      .drain(connection)
      .filter(({ type }) => type === OPERATION.WATCH_EVENT)
      .map(({ text }) => text.slice(0, -1).replace("\0", " "));
  }
}
