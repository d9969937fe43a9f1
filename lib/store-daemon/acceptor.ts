// Listening sockets: every connection that comes to them is accepted, some at a turn.

import { SystemError } from "../base/index.ts";
import { acceptUnix, type Fd, type Loop, makeNonBlocking, READY_MASK } from "../sys/index.ts";

const ACCEPTED_PER_TURN = 64;
/** How long those who wait stay in the backlog when there are no descriptors left. */
const ACCEPT_PAUSE_MS = 1000;

export interface AcceptorParts {
  readonly loop: Loop;
  /** Takes the connection over. */
  readonly accept: (socket: Fd) => void;
  readonly log: (line: string) => void;
}

export class Acceptor {
  readonly listeners: Fd[] = [];
  private readonly parts: AcceptorParts;
  private isPaused = true;

  constructor(parts: AcceptorParts) {
    this.parts = parts;
  }

  add(listener: Fd): void {
    // One that another program made may wait for who is not there. Nobody else accepts from it.
    makeNonBlocking(listener);
    this.listeners.push(listener);
    if (!this.isPaused) this.watch(listener);
  }

  resume(): void {
    this.isPaused = false;
    for (const listener of this.listeners) this.watch(listener);
  }

  pause(): void {
    this.isPaused = true;
    for (const listener of this.listeners) this.parts.loop.forget(listener);
  }

  private watch(listener: Fd): void {
    this.parts.loop.watch(listener, READY_MASK.readable, () => this.acceptAll(listener));
  }

  private acceptAll(listener: Fd): void {
    const { loop, log, accept } = this.parts;
    try {
      for (let count = 0; count < ACCEPTED_PER_TURN; count++) {
        const socket = acceptUnix(listener);
        if (socket === undefined) return;
        accept(socket);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.failure.code === "ECONNABORTED") return;
      log(error.message);
      loop.change(listener, 0);
      loop.after(ACCEPT_PAUSE_MS, () => {
        if (!this.isPaused) loop.change(listener, READY_MASK.readable);
      });
    }
  }
}
