// One record of the migration stream, read from front to back: fields by their layout, then the
// parts of lengths that they claim. Nothing is taken from beyond the record.

import { hex } from "../../base/index.ts";
import {
  check,
  type Layout,
  type Place,
  read,
  type Row,
  sizeOf,
  StreamError,
} from "../../bytes/index.ts";
import type { Problem } from "./problems.ts";

export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/** The error for what is wrong at a place. */
export const refusal = (place: Place, { field, expected, found }: Problem): StreamError =>
  new StreamError({ ...place, severity: "error", strict: true, field, expected, found });

export class RecordReader {
  readonly place: Place;
  /** In the body, from 0. */
  at = 0;
  private readonly body: Uint8Array;
  private readonly view: DataView;

  /** `place` is the record's own; `bodyOffset` that of its body. */
  constructor(body: Uint8Array, place: Place) {
    this.body = body;
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    this.place = place;
  }

  get left(): number {
    return this.body.length - this.at;
  }

  /** A problem of a part that begins at `at`. */
  fail(problem: Problem, at = this.at): never {
    throw refusal({ ...this.place, fileOffset: this.place.fileOffset + at }, problem);
  }

  /** What a builder said about the record. */
  accept(problem: Problem | undefined): void {
    if (problem !== undefined) this.fail(problem, 0);
  }

  fields<L extends Layout>(layout: L): Row<L> {
    this.need(sizeOf(layout), "body");
    const place = { ...this.place, fileOffset: this.place.fileOffset + this.at };
    for (const finding of check(layout, this.view, this.at, place)) {
      if (finding.severity === "error") throw new StreamError(finding);
    }
    const row = read(layout, this.view, this.at);
    this.at += sizeOf(layout);
    return row;
  }

  /** A copy: what was read does not keep the whole stream in memory. */
  bytes(length: number, field: string): Uint8Array {
    this.need(length, field);
    const part = this.body.slice(this.at, this.at + length);
    this.at += length;
    return part;
  }

  /** `length` bytes with exactly one NUL, at their end; without it. */
  terminated(length: number, field: string): Uint8Array {
    const start = this.at;
    const whole = this.bytes(length, field);
    const nul = whole.indexOf(0);
    if (nul === length - 1) return whole.subarray(0, nul);
    const found = nul === -1 ? "none" : `one at ${hex(nul)}`;
    return this.fail({ field, expected: `a NUL at ${hex(length - 1)}`, found }, start);
  }

  /** As many bytes as end with a NUL, without it. */
  untilNul(field: string): Uint8Array {
    const end = this.body.indexOf(0, this.at);
    if (end === -1) return this.fail({ field, expected: "a NUL behind it", found: "none" });
    return this.terminated(end + 1 - this.at, field);
  }

  private need(length: number, field: string): void {
    if (length <= this.left) return;
    this.fail({ field, expected: `${length} bytes`, found: `${this.left} in this record` });
  }
}
