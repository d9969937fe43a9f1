// A walk's place in its source: takes and passes over bytes, numbers records, and turns the end of
// input into an error that names the place.

import { assert, plural } from "../../base/index.ts";
import {
  check,
  type Finding,
  type Layout,
  type Place,
  type Sink,
  sizeOf,
  type Source,
  StreamError,
  WHOLE_BODY_BYTES,
} from "../../bytes/index.ts";
import type { Piece, StreamRecord, Visitor, Want } from "./visitor.ts";

/** Bodies are passed over in steps of this size, so that a rate limit and progress see them. */
const SKIP_STEP_BYTES = 8 * 1024 * 1024;
const RECORD_ALIGNMENT = 8;
/** Less is written through the sink's buffer: cheaper than a system call of its own. */
const MOVE_BYTES_MIN = 64 * 1024;
const NO_HINTS = { width: undefined, guest: undefined, stopsBeforeQemu: false } as const;

export interface CursorOptions {
  readonly source: Source;
  readonly visitor: Visitor;
  /** Called as the walk goes on, with the absolute offset. */
  readonly onProgress: (position: number) => void;
  readonly legacy: LegacyHints | undefined;
  /** Told of each place between two records that a walk can go on from. */
  readonly onSeam: ((seam: Seam) => void) | undefined;
}

/** A place between two records of libxl's or libxc's, and what the walk knows there. */
export interface Seam {
  /** "tail": libxl's records behind a libxc CHECKPOINT; "states": behind its CHECKPOINT_END. */
  readonly within: "libxl" | "libxc" | "tail" | "states";
  /**
   * So far: LIBXC_CONTEXT records (libxl), unknown optional records of this round (libxc),
   * CHECKPOINT_STATE records of this checkpoint (states).
   */
  readonly count: number;
}

/** What the caller knows of a legacy stream, which says nothing of it itself. */
export interface LegacyHints {
  /** Word width of the toolstack that wrote it; undefined: found by the first bytes. */
  readonly width: 4 | 8 | undefined;
  readonly guest: "pv" | "hvm" | undefined;
  /** An HVM stream's QEMU record belongs to the next reader: not a byte of it is taken. */
  readonly stopsBeforeQemu: boolean;
}

export class Cursor {
  readonly source: Source;
  readonly visitor: Visitor;
  readonly legacy: LegacyHints;
  recordNumber = 0;
  private readonly onProgress: (position: number) => void;
  private readonly onSeam: ((seam: Seam) => void) | undefined;

  constructor({ source, visitor, onProgress, legacy, onSeam }: CursorOptions) {
    this.onSeam = onSeam;
    this.source = source;
    this.visitor = visitor;
    this.onProgress = onProgress;
    this.legacy = legacy ?? NO_HINTS;
  }

  /** Announces a place that another walk could go on from. */
  seam(within: Seam["within"], count: number): void {
    this.onSeam?.({ within, count });
  }

  get position(): number {
    return this.source.position;
  }

  /** A place at the current position, under the number of the last record. */
  place(layer: Place["layer"], record: string): Place {
    return { layer, record, recordNumber: this.recordNumber, fileOffset: this.position };
  }

  /** Takes exactly `bytes` (at most WHOLE_BODY_BYTES), or throws the end of input. */
  take(bytes: number, place: Place, field: string): Piece {
    const got = this.source.take(bytes);
    if (got < bytes) throw this.endOfInput(place, field, { wanted: bytes, got });
    const { view, bytes: all, at } = this.source;
    return { view, bytes: all, at, length: bytes, bodyAt: 0 };
  }

  /** The bytes of the source's last take. */
  private piece(length: number, bodyAt: number): Piece {
    const { view, bytes, at } = this.source;
    return { view, bytes, at, length, bodyAt };
  }

  /** Passes over exactly `bytes`, or throws the end of input. */
  skip(bytes: number, place: Place, field: string): void {
    for (let left = bytes; left > 0;) {
      const step = Math.min(left, SKIP_STEP_BYTES);
      const got = this.source.skip(step);
      left -= got;
      this.onProgress(this.position);
      if (got < step) throw this.endOfInput(place, field, { wanted: bytes, got: bytes - left });
    }
  }

  /** Passes over everything that is left, and tells how much that was. */
  skipToTheEnd(): number {
    for (let done = 0; ;) {
      const got = this.source.skip(SKIP_STEP_BYTES);
      done += got;
      this.onProgress(this.position);
      if (got < SKIP_STEP_BYTES) return done;
    }
  }

  /**
   * Hands over `bytes` of a body in pieces. Of a body that the input cuts short only whole steps
   * of WHOLE_BODY_BYTES are handed over: no visitor sees half a field, and every source gives the
   * same.
   */
  pieces(record: StreamRecord, bytes: number, give: (piece: Piece) => void): void {
    for (let done = 0; done < bytes;) {
      const wanted = Math.min(bytes - done, this.source.takeBytesMax);
      const got = this.source.take(wanted);
      const whole = got === wanted ? got : got - (got % WHOLE_BODY_BYTES);
      if (whole > 0) give(this.piece(whole, record.bodyBytes - bytes + done));
      done += got;
      if (whole < got || got === 0) {
        throw this.endOfInput(record, "body", { wanted: bytes, got: done });
      }
      this.onProgress(this.position);
    }
  }

  /** Takes a fixed header, announces it, and throws the first field that a reader refuses. */
  header(layout: Layout, place: Place): Piece {
    const piece = this.take(sizeOf(layout), place, "header");
    this.visitor.header({ ...place, layout }, piece);
    for (const finding of check(layout, piece.view, piece.at, place)) {
      if (finding.severity === "error") throw new StreamError(finding);
    }
    return piece;
  }

  /** Announces a record whose body begins at the current position. */
  record(fields: Omit<StreamRecord, "recordNumber" | "bodyOffset">): StreamRecord {
    this.recordNumber++;
    const { position: bodyOffset, recordNumber } = this;
    this.onProgress(bodyOffset);
    // Field by field: a spread costs three times as much, for each of a guest's batches.
    const { layer, record, fileOffset, type, bodyBytes } = fields;
    return { layer, record, recordNumber, fileOffset, type, bodyOffset, bodyBytes };
  }

  /** Gives the visitor what it wants of a body, passes over the rest, and looks at the padding. */
  body(record: StreamRecord, headBytes: number): void {
    const { visitor } = this;
    const want = visitor.record(record);
    if (want === "body") {
      return this.pieces(record, record.bodyBytes, (piece) => visitor.body(record, piece));
    }
    const bytes = want === "nothing" ? 0 : Math.min(headBytes, record.bodyBytes);
    if (bytes > 0) visitor.body(record, this.take(bytes, record, "body"));
    this.rest(record, want, { bytes: record.bodyBytes - bytes, field: "body" });
  }

  /** What is left of a body: on to the visitor's sink, or passed over. */
  rest(
    record: StreamRecord,
    want: Want,
    { bytes, field }: { readonly bytes: number; readonly field: string },
  ): void {
    if (want === "move") this.move(record, bytes, field);
    else this.skip(bytes, record, field);
  }

  private move(record: StreamRecord, bytes: number, field: string): void {
    const { sink } = this.visitor;
    assert(sink, "a visitor that wants bodies moved has a sink");
    for (let left = bytes; left > 0;) {
      const step = Math.min(left, SKIP_STEP_BYTES);
      const got = step < MOVE_BYTES_MIN ? this.copy(sink, step) : this.source.move(step, sink);
      left -= got;
      this.onProgress(this.position);
      if (got < step) throw this.endOfInput(record, field, { wanted: bytes, got: bytes - left });
    }
  }

  private copy(sink: Sink, bytes: number): number {
    const got = this.source.take(bytes);
    const { bytes: from, at } = this.source;
    sink.write(from.subarray(at, at + got));
    return got;
  }

  /** A body without a size, up to the end of the input. */
  toTheEnd(record: StreamRecord): void {
    const { source, visitor } = this;
    const isWanted = visitor.record(record) === "body";
    for (let bodyAt = 0; ;) {
      const got = isWanted ? source.take(WHOLE_BODY_BYTES) : source.skip(SKIP_STEP_BYTES);
      if (got > 0 && isWanted) visitor.body(record, this.piece(got, bodyAt));
      this.onProgress(this.position);
      if (got < (isWanted ? WHOLE_BODY_BYTES : SKIP_STEP_BYTES)) return;
      bodyAt += got;
    }
  }

  /** Takes the zero bytes behind a body; others are a warning: readers ignore them. */
  padding(record: StreamRecord): void {
    const padBytes = (RECORD_ALIGNMENT - (record.bodyBytes % RECORD_ALIGNMENT)) % RECORD_ALIGNMENT;
    if (padBytes === 0) return;
    const { bytes, at } = this.take(padBytes, record, "padding");
    const pad = bytes.subarray(at, at + padBytes);
    if (pad.every((byte) => byte === 0)) return;
    this.visitor.problem({
      ...record,
      severity: "warning",
      strict: true,
      field: "padding",
      fileOffset: this.position - padBytes,
      expected: `${padBytes} zero bytes`,
      found: pad.toHex(),
    });
  }

  /** `fileOffset`: where the field stands; without one, at the place. */
  fail(
    place: Place,
    rest: Pick<Finding, "field" | "expected" | "found"> & { readonly fileOffset?: number },
  ): StreamError {
    return new StreamError({ ...place, severity: "error", strict: true, ...rest });
  }

  private endOfInput(
    place: Place,
    field: string,
    { wanted, got }: { readonly wanted: number; readonly got: number },
  ): StreamError {
    const why = this.source.shrunk
      ? "the file was cut short while it was read"
      : "the end of the input";
    const found = got === 0 ? why : `${why} after ${plural(got, "byte")}`;
    const expected = plural(wanted, "byte");
    const finding = { ...place, fileOffset: this.position, field, expected, found };
    return new EndOfInput({ ...finding, severity: "error", strict: true });
  }
}

/** The input ended inside of something. */
export class EndOfInput extends StreamError {}
