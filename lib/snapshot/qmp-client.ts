// A QMP client on the runtime's own loop, over a unix socket; also of QEMU's guest agent, which
// speaks the same lines without a greeting.
//
// QEMU serves one client at a time: a second connection is accepted and then hears nothing, not
// even a greeting, until the first has gone. So there is a deadline on the greeting as on every
// reply. A request whose deadline passed may still be carried out: the connection is not used any
// further, and the caller has to look at what is there.

import { randomUUID } from "node:crypto";
import type { FdSocketOptions, Socket, UnixSocketOptions } from "bun";
import { assert, SystemError } from "../base/index.ts";
import { Fd, sendDescriptors } from "../sys/index.ts";
import {
  type Arguments,
  cannotCarry,
  type ExecuteOptions,
  type Monitor,
  MonitorError,
  type MonitorFailure,
} from "./monitor.ts";
import { QmpGarbage, type QmpMessage, qmpReader, requestLine } from "./qmp-wire.ts";

export interface QmpOptions {
  /** Of a socket; or a descriptor that is connected already, and closed with the client. */
  readonly path: string | number;
  /** For messages. */
  readonly name: string;
  readonly greetingMs: number;
  readonly replyMs: number;
  onEvent?(name: string, data: unknown): void;
}

/** It takes a connected descriptor too (a test keeps watch); its types do not say so. */
const connect = Bun.connect as (
  options: UnixSocketOptions<undefined> | FdSocketOptions<undefined>,
) => Promise<Socket<undefined>>;

interface Waiting {
  readonly command: string;
  readonly timer: ReturnType<typeof setTimeout>;
  resolve(value: unknown): void;
  reject(error: MonitorError): void;
}

/** Connects, hears the greeting and leaves negotiation mode. Throws MonitorError. */
export async function connectQmp(options: QmpOptions): Promise<Monitor> {
  const client = new Client(options);
  try {
    await client.open();
    await client.greeting();
    await client.execute("qmp_capabilities", undefined, { timeoutMs: options.greetingMs });
    return client;
  } catch (error) {
    client.end();
    throw error;
  }
}

/**
 * Connects to a guest agent. It has no greeting: an answer to guest-sync proves that it lives.
 * (qemu-ga runs in the guest; where the guest has none the socket is there and stays silent.)
 */
export async function connectGuestAgent(options: QmpOptions): Promise<Monitor> {
  const client = new Client(options);
  try {
    await client.open();
    const id = 1 + Math.floor(Math.random() * 2 ** 31);
    const answer = await client.execute("guest-sync", { id }, { timeoutMs: options.greetingMs });
    if (answer !== id) throw client.failed("lost", `guest-sync answered ${JSON.stringify(answer)}`);
    return client;
  } catch (error) {
    client.end();
    throw error;
  }
}

class Client implements Monitor {
  readonly name: string;
  private readonly options: QmpOptions;
  private readonly waiting = new Map<unknown, Waiting>();
  /** QEMU answers the last question of a client that went away to the next one that comes. */
  private readonly idPrefix = randomUUID();
  private socket: Socket<undefined> | undefined;
  private unsent: Uint8Array[] = [];
  private lastId = 0;
  private broken: MonitorError | undefined;
  private readonly greeted = Promise.withResolvers<void>();

  constructor(options: QmpOptions) {
    this.options = options;
    this.name = options.name;
    this.greeted.promise.catch(() => {}); // Not every use waits for it.
  }

  failed(failure: MonitorFailure, what: string, cause?: unknown): MonitorError {
    return new MonitorError(`Cannot use ${this.name}: ${what}`, { failure, cause });
  }

  async open(): Promise<void> {
    const read = qmpReader();
    const handlers = {
      data: (_: unknown, bytes: Uint8Array) => this.receive(read, bytes),
      drain: () => this.flush(),
      close: () => this.breakOff(this.failed("lost", "it closed the connection")),
      error: (_: unknown, error: Error) => this.breakOff(this.failed("lost", error.message, error)),
    };
    try {
      const { path } = this.options;
      const where = typeof path === "string" ? { unix: path } : { fd: path };
      this.socket = await connect({ ...where, socket: handlers });
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      const isBusy = code === "EAGAIN";
      const what = isBusy ? "another client has it" : `connect failed with ${code}`;
      throw this.failed(isBusy ? "busy" : "gone", what, error);
    }
  }

  async greeting(): Promise<void> {
    const { greetingMs } = this.options;
    const timer = setTimeout(() => {
      const what = `no greeting within ${greetingMs} ms: another client has it, or QEMU hangs`;
      this.greeted.reject(this.failed("busy", what));
    }, greetingMs);
    try {
      await this.greeted.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  execute(command: string, given?: Arguments, options?: ExecuteOptions): Promise<unknown> {
    if (this.broken !== undefined) return Promise.reject(this.broken);
    const id = `${this.idPrefix}-${++this.lastId}`;
    const line = new TextEncoder().encode(requestLine({ command, arguments: given, id }));
    if (options?.fd === undefined) this.unsent.push(line);
    else {
      const failure = this.sendWith(line, options.fd, command);
      if (failure !== undefined) return Promise.reject(failure);
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const limitMs = options?.timeoutMs ?? this.options.replyMs;
    const timer = setTimeout(() => {
      this.breakOff(this.failed("lost", `no reply to ${command} within ${limitMs} ms`));
    }, limitMs);
    this.waiting.set(id, { command, timer, resolve, reject });
    this.flush();
    return promise;
  }

  /**
   * Why it did not go. The socket needs room for it: the runtime itself sends no descriptors. That
   * the connection has ended shows here before the runtime tells of it.
   */
  private sendWith(line: Uint8Array, fd: Fd, command: string): MonitorError | undefined {
    if (this.socket === undefined || this.unsent.length > 0) return cannotCarry(this.name, command);
    const { fd: number } = this.socket as Socket<undefined> & { readonly fd: number };
    try {
      const sent = sendDescriptors(new Fd(number, this.name), line, [fd.number]);
      if (sent === 0) return cannotCarry(this.name, command);
      if (sent < line.byteLength) this.unsent.push(line.subarray(sent));
      return undefined;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const failure = this.failed("lost", error.message, error);
      this.breakOff(failure);
      return failure;
    }
  }

  private flush(): void {
    for (;;) {
      const [first] = this.unsent;
      if (first === undefined || this.socket === undefined) return;
      const put = this.socket.write(first);
      if (put < first.byteLength) {
        this.unsent[0] = first.subarray(Math.max(0, put)); // `drain` tells when there is room.
        return;
      }
      this.unsent.shift();
    }
  }

  private receive(read: (bytes: Uint8Array) => QmpMessage[], bytes: Uint8Array): void {
    try {
      for (const message of read(bytes)) this.take(message);
    } catch (error) {
      if (!(error instanceof QmpGarbage)) throw error;
      this.breakOff(this.failed("lost", `it does not speak QMP: ${error.message}`, error));
    }
  }

  private take(message: QmpMessage): void {
    if (message.kind === "greeting") return this.greeted.resolve();
    if (message.kind === "event") return this.options.onEvent?.(message.name, message.data);
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) return; // Of a client before us.
    this.waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.kind === "return") return waiting.resolve(message.value);
    const text = `${this.name} refused ${waiting.command}: ${message.desc}`;
    const options = { failure: "refused", qemuClass: message.class } as const;
    waiting.reject(new MonitorError(text, options));
  }

  /** The first reason stays; whoever waits hears it, and so does every later request. */
  private breakOff(reason: MonitorError): void {
    if (this.broken !== undefined) return;
    this.broken = reason;
    this.greeted.reject(reason);
    for (const { timer, reject } of this.waiting.values()) {
      clearTimeout(timer);
      reject(reason);
    }
    this.waiting.clear();
    this.socket?.end();
  }

  end(): void {
    this.breakOff(this.failed("gone", "the connection was closed"));
  }

  /** A connection cannot be taken up again: who may release it opens it anew, see open-monitor. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    assert(this.waiting.size === 0, "nobody waits for a reply when a monitor is closed");
    this.end();
    return Promise.resolve();
  }
}
