// The control socket: whoever connects is told how the relay stands, as one JSON document up to the
// end of what it can read. It is served between two steps of the stream.
//
// Who wants more than that sends one message afterwards, with a descriptor beside it to which the
// answer goes: `agent live-update` asks so for another program in this one's place. Everybody else
// closes the connection, and those who do not are few at a time.

import { unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../../base/index.ts";
import {
  acceptUnix,
  bindUnix,
  borrow,
  connectUnix,
  type Fd,
  type Loan,
  MESSAGE_BYTES_MAX,
  type PollSet,
  receiveDescriptors,
  shutdownWrites,
  writeReady,
} from "../../sys/index.ts";
import type { Duty } from "./pump.ts";

const ANSWER_BYTES_MAX = 16 * 1024;
/** Connections that are still open once they were answered: the oldest gives way. */
const CLIENTS_MAX = 8;

/** The descriptor is the callee's. */
export type OnOrder = (text: string, asker: Fd) => void;

export class ControlSocket implements Duty, Disposable {
  /** Without it, whatever clients send is dropped. */
  onOrder: OnOrder | undefined;
  readonly listener: Fd;
  private readonly path: string;
  private readonly answer: () => string;
  private readonly loan: Loan = borrow(ANSWER_BYTES_MAX);
  private readonly clients: Fd[] = [];
  private place = -1;
  private clientPlaces: { readonly client: Fd; readonly place: number }[] = [];

  /**
   * `listener`: another program's before this one, or undefined. Throws RefusedError or SystemError
   * where it cannot listen.
   */
  constructor(path: string, answer: () => string, listener?: Fd) {
    this.path = path;
    this.answer = answer;
    if (listener === undefined) removeStale(path);
    this.listener = listener ?? bindUnix({ path, kind: "stream" });
  }

  enter(poll: PollSet): void {
    this.place = poll.add(this.listener, "readable");
    this.clientPlaces = this.clients.map((client) => ({
      client,
      place: poll.add(client, "readable"),
    }));
  }

  serve(poll: PollSet): void {
    const ready = this.clientPlaces.filter(({ place }) => poll.isReadable(place));
    this.clientPlaces = [];
    if (poll.isReadable(this.place)) this.accept();
    for (const { client } of ready) this.hear(client);
  }

  private accept(): void {
    for (;;) {
      const client = acceptUnix(this.listener);
      if (client === undefined) return;
      this.tell(client);
      this.clients.push(client);
      if (this.clients.length > CLIENTS_MAX) this.clients.shift()?.[Symbol.dispose]();
    }
  }

  private tell(client: Fd): void {
    const { region } = this.loan;
    const { written } = new TextEncoder().encodeInto(this.answer(), region.bytes);
    try {
      writeReady(client, "socket", { address: region.address, bytes: written });
      shutdownWrites(client);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // It went before it was answered.
    }
  }

  private hear(client: Fd): void {
    const at = this.clients.indexOf(client);
    if (at === -1) return; // It gave way.
    try {
      const received = receiveDescriptors(client, MESSAGE_BYTES_MAX);
      if (received === undefined) return;
      const [asker, ...more] = received.descriptors;
      const isOrder = asker !== undefined && more.length === 0 && received.bytes.length > 0;
      if (isOrder && this.onOrder !== undefined) {
        this.onOrder(Buffer.from(received.bytes).toString("utf8"), asker);
      } else received[Symbol.dispose]();
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
    }
    this.clients.splice(at, 1);
    client[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const client of this.clients) client[Symbol.dispose]();
    this.listener[Symbol.dispose]();
    this.loan[Symbol.dispose]();
    remove(this.path);
  }
}

/** A socket that nobody listens on was left by a relay that was killed. */
function removeStale(path: string): void {
  try {
    using _ = connectUnix({ path, kind: "stream", waitMs: 1000 });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.failure.code === "ECONNREFUSED") remove(path);
    return;
  }
  throw new RefusedError(`Cannot listen on "${path}": somebody else does`);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOENT") throw error;
  }
}
