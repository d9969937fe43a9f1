// A window over a body that arrives in pieces: the bytes not yet looked at, in one fixed buffer.
// A reader that needs at most `lookAheadBytes` at a time never meets a piece boundary.

import { assert } from "../../base/index.ts";

const WINDOW_BYTES = 64 * 1024;

export interface Window {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** Offset in the body of bytes[0]. */
  base: number;
  /** Of the next byte to look at, in `bytes`. */
  at: number;
  /** Behind the last byte, in `bytes`. */
  end: number;
}

export function newWindow(): Window {
  const bytes = new Uint8Array(WINDOW_BYTES);
  return { bytes, view: new DataView(bytes.buffer), base: 0, at: 0, end: 0 };
}

/** Adds a piece; `look` must leave at most `lookAheadBytes` unread whenever it is called. */
export function fillWindow(
  window: Window,
  piece: Uint8Array,
  port: { readonly lookAheadBytes: number; readonly look: () => void },
): void {
  for (let used = 0; used < piece.length;) {
    if (window.end === WINDOW_BYTES) dropRead(window);
    const bytes = Math.min(piece.length - used, WINDOW_BYTES - window.end);
    window.bytes.set(piece.subarray(used, used + bytes), window.end);
    window.end += bytes;
    used += bytes;
    port.look();
    assert(window.end - window.at <= port.lookAheadBytes, "the window was looked through");
  }
}

function dropRead(window: Window): void {
  window.bytes.copyWithin(0, window.at, window.end);
  window.base += window.at;
  window.end -= window.at;
  window.at = 0;
}
