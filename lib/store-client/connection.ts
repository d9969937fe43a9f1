// A connection to a xenstore daemon's socket, used step by step: a request is sent, its reply
// waited for, and events that come between are kept. Many requests may be sent at once (a window of
// them): the daemon answers them in their order, and a walk over a large store is much faster.

import { assert, RefusedError } from "../base/index.ts";
import {
  borrow,
  connectUnix,
  type Fd,
  type Loan,
  monotonicMs,
  PollSet,
  receiveNow,
  sendNow,
  SOCKET_GONE,
} from "../sys/index.ts";
import { OPERATION } from "../xenstore/index.ts";
import { Inbox, latin1, type Message, messageBytes, type Request, stringsOf } from "./messages.ts";

/** So many requests are under way at most: their replies fit what a daemon queues for a client. */
const WINDOW_REQUESTS = 64;
const BUFFER_BYTES = 64 * 1024;

export interface StoreEvent {
  /** Of what changed; relative where the watch is. */
  readonly path: string;
  readonly token: string;
}

/** What the daemon said to a request: the payload of its reply, or the name of an error. */
export type Answer =
  | { readonly ok: true; readonly payload: Uint8Array }
  | { readonly ok: false; readonly error: string };

export interface ConnectOptions {
  readonly path: string;
  /** How long a reply may take. */
  readonly timeoutMs: number;
}

/** Owns the socket. All methods but nextEvent() throw RefusedError when the daemon does not do. */
export class StoreConnection implements Disposable {
  readonly path: string;
  private readonly timeoutMs: number;
  private readonly socket: Fd;
  private readonly poll = new PollSet();
  private readonly buffer: Loan = borrow(BUFFER_BYTES);
  private readonly inbox = new Inbox();
  private readonly events: StoreEvent[] = [];
  private lastId = 0;
  private isEnded = false;

  /** Throws SystemError when nobody listens there. */
  constructor({ path, timeoutMs }: ConnectOptions) {
    this.path = path;
    this.timeoutMs = timeoutMs;
    this.socket = connectUnix({ path, kind: "stream", waitMs: timeoutMs });
  }

  /** Sends the requests and waits for their answers, in the same order. */
  exchange(requests: readonly Request[]): Answer[] {
    const answers: Answer[] = [];
    for (let at = 0; at < requests.length; at += WINDOW_REQUESTS) {
      const part = requests.slice(at, at + WINDOW_REQUESTS);
      const firstId = this.lastId + 1;
      this.lastId += part.length;
      this.send(part.map((request, index) => messageBytes(request, firstId + index)));
      for (const [index, { operation }] of part.entries()) {
        answers.push(this.answerTo(operation, firstId + index));
      }
    }
    return answers;
  }

  ask(request: Request): Answer {
    const [answer] = this.exchange([request]);
    assert(answer !== undefined, "one request has one answer");
    return answer;
  }

  /** The next event, waiting at most so long (-1: for ever); undefined: none came. */
  nextEvent(timeoutMs: number): StoreEvent | undefined {
    const untilMs = timeoutMs < 0 ? Number.POSITIVE_INFINITY : monotonicMs() + timeoutMs;
    for (;;) {
      const event = this.events.shift();
      if (event !== undefined) return event;
      const message = this.takeMessage();
      if (message !== undefined) this.keepEvent(message);
      else if (!this.receive(untilMs)) return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.poll[Symbol.dispose]();
    this.buffer[Symbol.dispose]();
    this.socket[Symbol.dispose]();
  }

  private answerTo(operation: Request["operation"], requestId: number): Answer {
    const untilMs = monotonicMs() + this.timeoutMs;
    for (;;) {
      const message = this.takeMessage();
      if (message === undefined) {
        if (this.receive(untilMs)) continue;
        throw this.refused(`wanted an answer to ${operation} within ${this.timeoutMs} ms`, "none");
      }
      const { type, payload } = message;
      if (type === OPERATION.WATCH_EVENT) {
        this.keepEvent(message);
        continue;
      }
      const isOurs = type === OPERATION[operation] || type === OPERATION.ERROR;
      if (!isOurs || message.requestId !== requestId) {
        const found = `a message of type ${type} with request id ${message.requestId}`;
        throw this.refused(`wanted the answer to ${operation}, request ${requestId}`, found);
      }
      if (type !== OPERATION.ERROR) return { ok: true, payload };
      return { ok: false, error: stringsOf(payload)[0] ?? "no error name" };
    }
  }

  private keepEvent(message: Message): void {
    const [path, token] = stringsOf(message.payload);
    if (message.type !== OPERATION.WATCH_EVENT || path === undefined || token === undefined) {
      throw this.refused("wanted a watch event", `a message of type ${message.type}`);
    }
    this.events.push({ path, token });
  }

  private takeMessage(): Message | undefined {
    const message = this.inbox.take();
    if (message === "too long") throw this.refused("wanted a message", "one of over 64 MiB");
    return message;
  }

  /** Sends all of it; what arrives meanwhile is taken, so that two full sockets do not wait. */
  private send(messages: readonly Uint8Array[]): void {
    const bytes = messages.length === 1 ? messages[0]! : new Uint8Array(Buffer.concat(messages));
    const { region } = this.buffer;
    const untilMs = monotonicMs() + this.timeoutMs;
    for (let done = 0; done < bytes.length;) {
      const part = bytes.subarray(done, done + region.length);
      region.bytes.set(part);
      const sent = sendNow(this.socket.number, region.address, part.length);
      if (sent > 0) done += sent;
      else if (sent === SOCKET_GONE) throw this.refused("wanted to send a request", "it closed");
      else if (!this.waitForEither(untilMs)) {
        throw this.refused(`wanted a request taken within ${this.timeoutMs} ms`, "no room for it");
      }
    }
  }

  /** Until there is room, or something to take, which it takes. False: the time is over. */
  private waitForEither(untilMs: number): boolean {
    this.poll.clear();
    const [input, output] = [
      this.poll.add(this.socket, "readable"),
      this.poll.add(this.socket, "writable"),
    ];
    if (!this.poll.wait(leftMs(untilMs))) return monotonicMs() < untilMs;
    if (!this.poll.isWritable(output) && this.poll.isReadable(input)) this.takeBytes();
    return true;
  }

  /** Waits for bytes and takes them. False: the time is over. */
  private receive(untilMs: number): boolean {
    for (;;) {
      if (this.takeBytes()) return true;
      if (this.isEnded) throw this.refused("wanted an answer", "that it closed the connection");
      if (monotonicMs() >= untilMs) return false;
      this.poll.clear();
      this.poll.add(this.socket, "readable");
      this.poll.wait(leftMs(untilMs)); // A signal ends it early; then it is waited again.
    }
  }

  private takeBytes(): boolean {
    const { region } = this.buffer;
    const got = receiveNow(this.socket.number, region.address, region.length);
    if (got > 0) this.inbox.add(region.bytes.subarray(0, got));
    this.isEnded = got === 0 || got === SOCKET_GONE;
    return got > 0;
  }

  private refused(wanted: string, found: string): RefusedError {
    const attempt = `Cannot use the xenstore daemon at "${this.path}"`;
    return new RefusedError(`${attempt}: ${wanted}, found ${found}`);
  }
}

const WAIT_FOREVER = -1;
const leftMs = (untilMs: number): number =>
  untilMs === Number.POSITIVE_INFINITY
    ? WAIT_FOREVER
    : Math.max(0, Math.ceil(untilMs - monotonicMs()));

/** The value of a reply as text, without a NUL behind it. */
export const textOf = (payload: Uint8Array): string => latin1(payload).replace(/\0$/, "");
