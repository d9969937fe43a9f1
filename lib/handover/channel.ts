// The channel of a handover: packets with descriptors, and the death of the process at its other
// end. Everything that the peer had sent is told before its death.

import { SystemError } from "../base/index.ts";
import {
  type Fd,
  hasEnded,
  MESSAGE_BYTES_MAX,
  receiveDescriptors,
  sendDescriptors,
  SIGNAL,
  signalPidfd,
} from "../sys/index.ts";
import { decodeMessage, encodeMessage, type Message } from "./messages.ts";
import type { Waiter } from "./waiter.ts";

export interface ChannelEvents {
  /** The descriptors are the receiver's. Throws RefusedError for what makes no sense. */
  onMessage(message: Message, fds: readonly Fd[]): void;
  onClosed(): void;
  onPeerDead(): void;
  /** The other side said what it must not: a RefusedError of onMessage or of the decoder. */
  onBreach(error: Error): void;
}

/** Packets read in one go; what is left is read in the next turn of the loop. */
const PACKETS_PER_TURN = 64;

/** Owns its socket and, once it has one, the peer's pidfd. */
export class Channel implements Disposable {
  private readonly socket: Fd;
  private readonly waiter: Waiter;
  /** A keeper puts its own here once it has stopped being an heir. */
  events: ChannelEvents;
  private peer: Fd | undefined;
  private isOpen = true;
  private isWatchingPeer = false;
  private isDisposed = false;

  constructor(socket: Fd, waiter: Waiter, events: ChannelEvents) {
    this.socket = socket;
    this.waiter = waiter;
    this.events = events;
    waiter.watch(socket, () => this.receive());
  }

  get socketNumber(): number {
    return this.socket.number;
  }

  /** From now on this is the process at the other end. */
  watchPeer(pidfd: Fd): void {
    this.forgetPeer();
    this.peer = pidfd;
    this.isWatchingPeer = true;
    this.waiter.watch(pidfd, () => this.peerDied());
  }

  /**
   * A message that the peer can no longer take is dropped: its death will be told. False when it
   * was dropped because the peer, alive, has left no room for it.
   */
  send(message: Message, fds: readonly Fd[]): boolean {
    if (this.isDisposed) return true;
    try {
      const numbers = fds.map(({ number }) => number);
      return sendDescriptors(this.socket, encodeMessage(message), numbers) > 0;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const { code } = error.failure;
      if (code !== "EPIPE" && code !== "ECONNRESET") throw error;
      return true;
    }
  }

  /** Waits up to `waitMs` for that. */
  isPeerDead(waitMs: number): boolean {
    return this.peer !== undefined && hasEnded(this.peer, waitMs);
  }

  signalPeer(signal: number): void {
    if (this.peer !== undefined) signalPidfd(this.peer, signal);
  }

  killPeer(): void {
    this.signalPeer(SIGNAL.kill);
  }

  private receive(): void {
    for (let packet = 0; packet < PACKETS_PER_TURN && this.isOpen && !this.isDisposed; packet++) {
      try {
        const received = receiveDescriptors(this.socket, MESSAGE_BYTES_MAX);
        if (received === undefined) return;
        if (received.bytes.length === 0) return this.closed();
        this.events.onMessage(decodeMessage(received.bytes), received.descriptors);
      } catch (error) {
        if (error instanceof SystemError && error.failure.code === "ECONNRESET") {
          return this.closed();
        }
        if (!(error instanceof Error)) throw error;
        return this.events.onBreach(error);
      }
    }
  }

  private closed(): void {
    this.isOpen = false;
    this.waiter.forget(this.socket);
    this.events.onClosed();
  }

  private peerDied(): void {
    if (this.isOpen) this.receive();
    if (this.isDisposed || !this.isWatchingPeer) return;
    this.isWatchingPeer = false;
    if (this.peer !== undefined) this.waiter.forget(this.peer);
    this.events.onPeerDead();
  }

  private forgetPeer(): void {
    if (this.isWatchingPeer && this.peer !== undefined) this.waiter.forget(this.peer);
    this.isWatchingPeer = false;
    this.peer?.[Symbol.dispose]();
    this.peer = undefined;
  }

  [Symbol.dispose](): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.forgetPeer();
    if (this.isOpen) this.waiter.forget(this.socket);
    this.isOpen = false;
    this.socket[Symbol.dispose]();
  }
}
