// Messages of the xenstore protocol as a client makes and takes them (xs_wire.h of Xen):
// type, request id, transaction id and length, u32 each in little-endian order, then the payload.

import { OPERATION } from "../xenstore/index.ts";

export const HEADER_BYTES = 16;
/**
 * oxenstored sends longer replies than the protocol allows to sockets; nobody sends one of this
 * length.
 */
const REPLY_BYTES_MAX = 64 * 1024 * 1024;

export type OperationName = keyof typeof OPERATION;

export interface Request {
  readonly operation: OperationName;
  readonly payload: Uint8Array;
  /** 0: none. */
  readonly transaction: number;
}

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly payload: Uint8Array;
}

export function messageBytes(request: Request, requestId: number): Uint8Array {
  const { operation, payload, transaction } = request;
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, OPERATION[operation], true);
  view.setUint32(4, requestId, true);
  view.setUint32(8, transaction, true);
  view.setUint32(12, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Puts together what arrives in pieces. */
export class Inbox {
  private held = new Uint8Array(64 * 1024);
  private start = 0;
  private end = 0;

  add(piece: Uint8Array): void {
    if (this.end + piece.length > this.held.length) {
      const left = this.held.subarray(this.start, this.end);
      const needed = left.length + piece.length;
      const roomier = needed > this.held.length / 2 ? 2 * needed : this.held.length;
      const next = new Uint8Array(roomier);
      next.set(left);
      [this.held, this.start, this.end] = [next, 0, left.length];
    }
    this.held.set(piece, this.end);
    this.end += piece.length;
  }

  /** The next whole message; undefined: more has to come; "too long": it never will be whole. */
  take(): Message | "too long" | undefined {
    const have = this.end - this.start;
    if (have < HEADER_BYTES) return undefined;
    const view = new DataView(this.held.buffer, this.start, HEADER_BYTES);
    const length = view.getUint32(12, true);
    if (length > REPLY_BYTES_MAX) return "too long";
    if (have < HEADER_BYTES + length) return undefined;
    const from = this.start + HEADER_BYTES;
    this.start = from + length;
    return {
      type: view.getUint32(0, true),
      requestId: view.getUint32(4, true),
      payload: this.held.slice(from, this.start),
    };
  }
}

/** Strings with a NUL behind each. */
export const terminated = (...words: readonly string[]): Uint8Array =>
  new Uint8Array(Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1"));

export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/** The strings that a payload holds, each with a NUL behind it; a last one may lack it. */
export function stringsOf(payload: Uint8Array): string[] {
  const text = latin1(payload);
  if (text === "") return [];
  return (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}
