// The proxy's side of its control socket: clients that come and go, a request of theirs at a time,
// and the one that waits for this program to be replaced.

import { RefusedError, SystemError } from "../base/index.ts";
import {
  acceptUnix,
  type Fd,
  type Loop,
  MESSAGE_BYTES_MAX,
  READY_MASK,
  receiveDescriptors,
  sendDescriptors,
} from "../sys/index.ts";
import { type ControlAnswer, ControlRequest, packetOf, parsePacket } from "./control-messages.ts";

export type UpdateRequest = Extract<ControlRequest, { do: "update" }>;
export type OwnRequest = Exclude<ControlRequest, UpdateRequest>;
export type Reply = (document: ControlAnswer) => void;

export interface ControlServerOptions {
  readonly loop: Loop;
  readonly listener: Fd;
  /** Answers once, now or later. The file is closed when it has. */
  readonly handle: (request: OwnRequest, file: Fd | undefined, reply: Reply) => void;
  /** Called before anything is read from a client. */
  readonly onTraffic: (client: Fd) => void;
}

/** Runs a step; what it refuses goes to `refuse`. */
export function refusing(step: () => void, refuse: (reason: string) => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof Error) || error.name === "Bug") throw error;
    refuse(error.message);
  }
}

/** Owns the listener and the clients. It is paused at first. */
export class ControlServer implements Disposable {
  readonly listener: Fd;
  /** Who is asked to replace this program. */
  onUpdate: ((request: UpdateRequest, reply: Reply) => void) | undefined;
  /** Waits for the end of an update. */
  asker: Fd | undefined;
  private readonly options: ControlServerOptions;
  private readonly all = new Set<Fd>();
  private readonly watched = new Set<Fd>();
  private isListening = false;

  constructor(options: ControlServerOptions) {
    this.options = options;
    this.listener = options.listener;
  }

  get clients(): readonly Fd[] {
    return [...this.all];
  }

  /** A client of another program before this one: watched after resume(). */
  adopt(client: Fd): void {
    this.all.add(client);
  }

  /** One more client, served at once. */
  add(client: Fd): void {
    this.all.add(client);
    this.watch(client);
  }

  pause(): void {
    const { loop } = this.options;
    for (const client of this.watched) loop.forget(client);
    this.watched.clear();
    if (this.isListening) loop.forget(this.listener);
    this.isListening = false;
  }

  resume(): void {
    this.isListening = true;
    this.options.loop.watch(this.listener, READY_MASK.readable, () => {
      const client = acceptUnix(this.listener);
      if (client !== undefined) this.add(client);
    });
    for (const client of this.all) this.watch(client);
  }

  close(client: Fd): void {
    this.all.delete(client);
    if (this.watched.delete(client)) this.options.loop.forget(client);
    client[Symbol.dispose]();
  }

  /** Answers who asked for an update. */
  tellAsker(document: ControlAnswer): void {
    const { asker } = this;
    this.asker = undefined;
    if (asker !== undefined) this.answer(asker, document);
  }

  [Symbol.dispose](): void {
    this.pause();
    for (const client of this.all) this.close(client);
    this.listener[Symbol.dispose]();
  }

  private watch(client: Fd): void {
    if (this.watched.has(client)) return;
    this.watched.add(client);
    this.options.loop.watch(client, READY_MASK.readable, () => {
      this.options.onTraffic(client);
      this.serve(client);
    });
  }

  private serve(client: Fd): void {
    let received: ReturnType<typeof receiveDescriptors>;
    try {
      received = receiveDescriptors(client, MESSAGE_BYTES_MAX);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
      this.close(client);
      return;
    }
    if (received === undefined) return;
    const message = received;
    if (message.bytes.length === 0) {
      message[Symbol.dispose]();
      this.close(client);
      return;
    }
    const reply = (document: ControlAnswer): void => {
      message[Symbol.dispose]();
      this.answer(client, document);
    };
    const [file, ...more] = message.descriptors;
    const request = more.length > 0 ? undefined : parsePacket(ControlRequest, message.bytes);
    if (request === undefined) {
      reply({ answer: "refused", reason: "The proxy does not know this request" });
    } else if (request.do === "update") {
      message[Symbol.dispose]();
      this.update(request, client);
    } else this.options.handle(request, file, reply);
  }

  private update(request: UpdateRequest, client: Fd): void {
    const { onUpdate } = this;
    if (onUpdate === undefined || this.asker !== undefined) {
      const reason = "Cannot update: this program cannot be replaced, or that is under way";
      this.answer(client, { answer: "refused", reason });
      return;
    }
    this.asker = client;
    const reply = (document: ControlAnswer): void => this.tellAsker(document);
    refusing(
      () => onUpdate(request, reply),
      (reason) => reply({ answer: "refused", reason }),
    );
  }

  private answer(client: Fd, document: ControlAnswer): void {
    if (!this.all.has(client)) return;
    try {
      sendDescriptors(client, packetOf(document), []);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.close(client); // It did not wait for the answer.
    }
  }
}
