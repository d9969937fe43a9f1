// Where bytes come from. A source is read strictly forwards; whoever reads it says how much is
// wanted next and gets a view of it, or passes over it. Nothing is read that was not asked for,
// unless the input is a file, where reading ahead harms nobody.

import type { Sink } from "./sink.ts";

/** A body of at most this size always arrives as one piece; larger ones come in pieces. */
export const WHOLE_BODY_BYTES = 1024 * 1024;

export interface Source extends Disposable {
  /** For messages: the path, or "standard input". */
  readonly name: string;
  /** Size of the whole input in bytes, where that is known. */
  readonly bytesTotal: number | undefined;
  /** Absolute offset of the next byte. */
  readonly position: number;
  /** The most that one `take` may ask for; at least WHOLE_BODY_BYTES. */
  readonly takeBytesMax: number;
  /** Set when the input turned out shorter than it was when it was opened. */
  readonly shrunk: boolean;
  /** No one else reads on behind the stream, so that everything there may be taken. */
  readonly isOursToTheEnd?: boolean;

  /** Where the bytes of the last `take` or `peek` stand, until the next call of either. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly at: number;

  /**
   * Makes the next `bytes` bytes stand together at `at` and moves past them. Fewer only at the end.
   */
  take(bytes: number): number;
  /** Like `take` without moving. At most PEEK_BYTES_MAX. */
  peek(bytes: number): number;
  /** Moves past `bytes` bytes without looking at them. Fewer only at the end. */
  skip(bytes: number): number;
  /** Moves the next `bytes` bytes on to a sink without looking at them. Fewer only at the end. */
  move(bytes: number, sink: Sink): number;
}

export const PEEK_BYTES_MAX = 64;

/**
 * What a source throws when reading must stop for reasons outside the stream: the place it is
 * passed on to has gone, somebody asked for it. It says nothing about the stream.
 */
export class Interrupted extends Error {
  override readonly name = "Interrupted"; // A literal: minifying renames the class itself.
}
