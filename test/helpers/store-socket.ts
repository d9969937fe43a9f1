// A raw client of a xenstore daemon's socket that waits by itself, so that tests and fuzzers say in
// which order things happen on several connections.

import { existsSync, readSync, writeSync } from "node:fs";
import { SystemError } from "../../lib/base/index.ts";
import { connectUnix, type Fd, PollSet, reserve, sendNow } from "../../lib/sys/index.ts";
import { Inbox, type Message, messageBytes, OP, type OpName } from "./store-wire.ts";

/** For a daemon that has to answer: nobody waits so long but where something is broken. */
export const ANSWER_MS = 20_000;

const buffer = new Uint8Array(64 * 1024);
const outgoing = reserve(64 * 1024);

export class StoreSocket implements Disposable {
  private readonly fd: Fd;
  private readonly poll = new PollSet();
  private readonly inbox = new Inbox();
  private requests = 0;
  /** Events that arrived while something else was waited for. */
  readonly events: Message[] = [];
  isClosed = false;

  constructor(path: string) {
    this.fd = connectUnix({ path, kind: "stream", waitMs: ANSWER_MS });
    this.poll.add(this.fd, "readable");
  }

  /** Sends all of it, waiting as long as need be; false where the daemon has hung up. */
  sendBytes(bytes: Uint8Array): boolean {
    try {
      for (let sent = 0; sent < bytes.length;) {
        sent += writeSync(this.fd.number, bytes, sent, bytes.length - sent);
      }
      return true;
    } catch (error) {
      if (!isHangUp(error)) throw error;
      return false;
    }
  }

  /** Whether the daemon takes more within that time: whether it reads. */
  canSend(waitMs: number): boolean {
    this.poll.clear();
    const place = this.poll.add(this.fd, "writable");
    const can = this.poll.wait(waitMs) && this.poll.isWritable(place);
    this.poll.clear();
    this.poll.add(this.fd, "readable");
    return can;
  }

  /** Sends what fits, without waiting; false where nothing does. */
  sendSome(bytes: Uint8Array): boolean {
    outgoing.bytes.set(bytes);
    return sendNow(this.fd.number, outgoing.address, bytes.length) > 0;
  }

  /** Sends a request; returns its number. */
  send(op: OpName | number, body: string, transaction: number): number {
    const request = ++this.requests;
    const type = typeof op === "number" ? op : OP[op];
    this.sendBytes(messageBytes({ type, request, transaction, body }));
    return request;
  }

  /** The next message of any kind; undefined at the end, or when none comes in time. */
  receive(waitMs: number): Message | undefined {
    for (;;) {
      const message = this.inbox.take();
      if (message !== undefined) return message;
      if (this.isClosed || !this.fill(waitMs)) return undefined;
    }
  }

  /** Sends a request and waits for its reply; undefined where the daemon hangs up instead. */
  ask(op: OpName | number, body: string, transaction: number): Message | undefined {
    const request = this.send(op, body, transaction);
    return this.reply(request);
  }

  /** The reply to a request; events before it are kept aside. */
  reply(request: number): Message | undefined {
    for (;;) {
      const message = this.receive(ANSWER_MS);
      if (message === undefined) {
        if (this.isClosed) return undefined;
        throw new Error(`Request ${request} was not answered in ${ANSWER_MS} ms`);
      }
      if (message.type !== OP.WATCH_EVENT) return message;
      this.events.push(message);
    }
  }

  /** One read of what is there; false where nothing came in time, or nothing will. */
  private fill(waitMs: number): boolean {
    if (!this.poll.wait(waitMs)) return false;
    try {
      const got = readSync(this.fd.number, buffer);
      if (got === 0) this.isClosed = true;
      else this.inbox.add(buffer.subarray(0, got));
      return got > 0;
    } catch (error) {
      if (!isHangUp(error)) throw error;
      this.isClosed = true;
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.poll[Symbol.dispose]();
    this.fd[Symbol.dispose]();
  }
}

const isHangUp = (error: unknown): boolean =>
  ["EPIPE", "ECONNRESET"].includes((error as NodeJS.ErrnoException).code ?? "");

/** A socket that is there is not listened to yet: between the two is a moment. */
export function listens(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    connectUnix({ path, kind: "stream", waitMs: ANSWER_MS })[Symbol.dispose]();
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.failure.code === "ECONNREFUSED") return false;
    throw error;
  }
}
