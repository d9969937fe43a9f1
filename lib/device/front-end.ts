// The front end's side of vhost-user: requests to a back end and its answers, one after the other,
// every wait with a limit. For pulling and pushing device state, and for the proxy while it swaps
// back ends; nothing here runs beside anything else.
//
// A back end can die of a request that is not exactly as it expects (passt: no descriptor or two
// with SET_DEVICE_STATE_FD, another phase, a request it does not know), so requests have one way
// out, with their descriptors checked, and CHECK_DEVICE_STATE and SET_DEVICE_STATE_FD only where
// they were negotiated.

import { assert, hex, RefusedError, SystemError } from "../base/index.ts";
import { type Layout, type Row, sizeOf, write } from "../bytes/index.ts";
import { type Fd, monotonicMs, PollSet, sendDescriptors } from "../sys/index.ts";
import { type Message, MessageReader, ProtocolError } from "./message-reader.ts";
import {
  describeRequest,
  FLAGS,
  HEADER_BYTES,
  MESSAGE_HEADER,
  NUMBER,
  REQUEST,
  type RequestName,
} from "./messages.ts";

/** The back end did not answer in time. What it has done of the request is unknown. */
export class SilentError extends RefusedError {}

/** It closed the connection. */
export class ClosedError extends RefusedError {}

export interface Payload {
  readonly bytes: Uint8Array;
  readonly descriptors: readonly Fd[];
}
export const NO_PAYLOAD: Payload = { bytes: new Uint8Array(0), descriptors: [] };

/** A payload of one layout. */
export function payloadOf<L extends Layout>(layout: L, row: Row<L>): Payload {
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, row);
  return { bytes, descriptors: [] };
}

export const numberPayload = (value: bigint): Payload => payloadOf(NUMBER, { value });

/** A whole message. */
export function messageBytes(id: number, flags: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const header = { request: id, flags, payload_bytes: payload.length };
  write(MESSAGE_HEADER, new DataView(bytes.buffer), 0, header);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Lends a connected, non-blocking socket; owns the memory beside it. */
export class FrontEnd implements Disposable {
  readonly socket: Fd;
  /** Whether the back end acknowledges what has no other answer: REPLY_ACK was negotiated. */
  acknowledges = false;
  private readonly reader: MessageReader;
  private readonly waitMs: number;
  private readonly poll = new PollSet();

  constructor(socket: Fd, waitMs: number) {
    this.socket = socket;
    this.waitMs = waitMs;
    this.reader = new MessageReader(socket);
  }

  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]();
    this.poll[Symbol.dispose]();
  }

  /** Sends a request that is answered by nothing but an acknowledgement, and waits for that. */
  tell(name: RequestName, payload: Payload): void {
    assert(REQUEST[name].answer !== "always", `${name} is not answered`);
    const { acknowledges } = this;
    this.send(name, payload, acknowledges ? FLAGS.version | FLAGS.needReply : FLAGS.version);
    if (!acknowledges) return;
    const value = this.number(name);
    if (value === 0n) return;
    throw new RefusedError(
      `${this.socket.name} refused ${describeRequest(REQUEST[name].id)}: it answered ${hex(value)}`,
    );
  }

  /** Sends a request and gives its answer, a u64. */
  ask(name: RequestName, payload: Payload): bigint {
    this.send(name, payload, FLAGS.version);
    return this.number(name);
  }

  /** Sends a request and gives the message that answers it. */
  askMessage(name: RequestName, payload: Payload, payloadBytes: number): Message {
    this.send(name, payload, FLAGS.version);
    return this.answer(name, payloadBytes);
  }

  /** Only sends; receive() takes the answer. */
  send(name: RequestName, { bytes, descriptors }: Payload, flags: number): void {
    const message = messageBytes(REQUEST[name].id, flags, bytes);
    const untilMs = monotonicMs() + this.waitMs;
    const numbers = descriptors.map(({ number }) => number);
    while (this.gone(name, () => sendDescriptors(this.socket, message, numbers)) === 0) {
      this.waitFor("writable", untilMs, `take ${name}`);
    }
  }

  private number(name: RequestName): bigint {
    using message = this.answer(name, sizeOf(NUMBER));
    if (message.descriptors.length > 0) {
      throw this.unexpected(name, "no descriptor in its answer", "one");
    }
    return message.view.getBigUint64(0, true);
  }

  /** The answer to a request, with a payload of this size. */
  answer(name: RequestName, payloadBytes: number): Message {
    const untilMs = monotonicMs() + this.waitMs;
    for (;;) {
      const message = this.gone(name, () => this.reader.next());
      if (message === "end") throw this.closed(name);
      if (message === "wait") {
        this.waitFor("readable", untilMs, `answer ${name}`);
        continue;
      }
      const problem = problemOf(message, REQUEST[name].id, payloadBytes);
      if (problem === undefined) return message;
      message[Symbol.dispose]();
      throw this.unexpected(name, problem.wanted, problem.found);
    }
  }

  private closed(name: RequestName): ClosedError {
    return new ClosedError(
      `${this.socket.name} closed the connection instead of answering ${name}`,
    );
  }

  /** A peer that has ended can be told by an error as well as by the end of its answers. */
  private gone<T>(name: RequestName, call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (["ECONNRESET", "EPIPE"].includes(error.failure.code)) throw this.closed(name);
      throw error;
    }
  }

  private unexpected(name: RequestName, wanted: string, found: string): ProtocolError {
    return new ProtocolError(
      `Cannot understand the answer of ${this.socket.name} to ${name}: wanted ${wanted}, ` +
        `found ${found}`,
    );
  }

  private waitFor(wanted: "readable" | "writable", untilMs: number, what: string): void {
    this.poll.clear();
    this.poll.add(this.socket, wanted);
    const leftMs = Math.ceil(untilMs - monotonicMs());
    if (leftMs > 0) {
      this.poll.wait(leftMs);
      return;
    }
    throw new SilentError(`${this.socket.name} did not ${what} within ${this.waitMs} ms`);
  }
}

function problemOf(
  { request, flags, view }: Message,
  id: number,
  payloadBytes: number,
): { readonly wanted: string; readonly found: string } | undefined {
  if ((flags & FLAGS.reply) === 0) {
    return { wanted: "a reply", found: `flags ${hex(flags)}` };
  }
  if (request !== id) {
    return { wanted: `one to ${describeRequest(id)}`, found: `one to ${describeRequest(request)}` };
  }
  if (view.byteLength !== payloadBytes) {
    return { wanted: `${payloadBytes} bytes of payload`, found: String(view.byteLength) };
  }
  return undefined;
}
