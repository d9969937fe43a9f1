// Messages out of a socket, each with its descriptors, as their bytes come: a value that can stop
// after any byte, be asked what it holds, and go on elsewhere from there.
//
//   header    12 bytes; the descriptors come with the first of them
//   payload   as many bytes as the header says
//
// Read is never more than the message at hand, so that nothing of the next one is held back.

import { RefusedError } from "../base/index.ts";
import { read } from "../bytes/index.ts";
import { DESCRIPTORS_MAX, type Fd, receiveDescriptors } from "../sys/index.ts";
import { FLAGS, HEADER_BYTES, MESSAGE_HEADER, PAYLOAD_BYTES_MAX } from "./messages.ts";

export interface Message extends Disposable {
  readonly request: number;
  readonly flags: number;
  /** Header and payload, as they came. */
  readonly bytes: Uint8Array;
  /** Of the payload. */
  readonly view: DataView;
  /** Disposing of the message closes them. */
  readonly descriptors: readonly Fd[];
}

/** What cannot be the other side's message: there is no finding the next one behind it. */
export class ProtocolError extends RefusedError {}

export class MessageReader implements Disposable {
  private readonly socket: Fd;
  private bytes: Uint8Array;
  private descriptors: Fd[];
  private have: number;

  constructor(socket: Fd) {
    this.socket = socket;
    this.bytes = new Uint8Array(HEADER_BYTES);
    this.descriptors = [];
    this.have = 0;
  }

  /** Bytes of a message that is not whole yet. */
  get halfRead(): Uint8Array {
    return this.bytes.subarray(0, this.have);
  }

  /** Its descriptors, which stay the reader's. */
  get halfReadDescriptors(): readonly Fd[] {
    return this.descriptors;
  }

  /** Goes on with what another reader of this socket had at hand. */
  resume(halfRead: Uint8Array, descriptors: readonly Fd[]): void {
    this.descriptors = [...descriptors];
    this.have = halfRead.length;
    this.bytes = new Uint8Array(Math.max(HEADER_BYTES, halfRead.length));
    this.bytes.set(halfRead);
    if (this.have >= HEADER_BYTES) this.growToPayload();
  }

  /** The next message; "wait" when it is not there whole, "end" when the other side has closed. */
  next(): Message | "wait" | "end" {
    for (;;) {
      if (this.have === this.bytes.length && this.have >= HEADER_BYTES) {
        if (!this.growToPayload()) return this.take();
      }
      const received = receiveDescriptors(this.socket, this.bytes.length - this.have);
      if (received === undefined) return "wait";
      this.descriptors.push(...received.descriptors);
      if (this.descriptors.length > DESCRIPTORS_MAX) {
        throw this.error(`at most ${DESCRIPTORS_MAX} descriptors`, "more of them");
      }
      if (received.bytes.length === 0) {
        if (this.have === 0) return "end";
        throw this.error("a whole message", `the end after ${this.have} bytes of one`);
      }
      this.bytes.set(received.bytes, this.have);
      this.have += received.bytes.length;
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.descriptors) fd[Symbol.dispose]();
    this.descriptors = [];
  }

  /** Makes room for the payload once the header is there; false when all of it has room. */
  private growToPayload(): boolean {
    const { flags, payload_bytes: payload } = read(MESSAGE_HEADER, viewOf(this.bytes, 0), 0);
    if ((flags & FLAGS.versionMask) !== FLAGS.version) {
      throw this.error("version 1 in its flags", `flags 0x${flags.toString(16)}`);
    }
    if (payload > PAYLOAD_BYTES_MAX) {
      throw this.error(`at most ${PAYLOAD_BYTES_MAX} bytes of payload`, String(payload));
    }
    if (this.bytes.length === HEADER_BYTES + payload) return false;
    const grown = new Uint8Array(HEADER_BYTES + payload);
    grown.set(this.bytes.subarray(0, this.have));
    this.bytes = grown;
    return true;
  }

  private take(): Message {
    const { bytes, descriptors } = this;
    this.bytes = new Uint8Array(HEADER_BYTES);
    this.descriptors = [];
    this.have = 0;
    return messageOf(bytes, descriptors);
  }

  private error(wanted: string, found: string): ProtocolError {
    const { name } = this.socket;
    return new ProtocolError(
      `Cannot understand a vhost-user message of ${name}: wanted ${wanted}, found ${found}`,
    );
  }
}

/** A message from all of its bytes. It owns the descriptors. */
export function messageOf(bytes: Uint8Array, descriptors: readonly Fd[]): Message {
  const { request, flags } = read(MESSAGE_HEADER, viewOf(bytes, 0), 0);
  return {
    request,
    flags,
    bytes,
    view: viewOf(bytes, HEADER_BYTES),
    descriptors,
    [Symbol.dispose]() {
      for (const fd of descriptors) fd[Symbol.dispose]();
    },
  };
}

const viewOf = (bytes: Uint8Array, at: number): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
