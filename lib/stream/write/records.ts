// Writing records of libxl and libxc, which are framed alike: u32 type, u32 body_length, body, zero
// padding to 8. A record is written whole, or begun with its head and the size of what follows, so
// that a body of any size can be moved into it; endRecord() pads it.
//
//   writeRecord(sink, LIBXC.tscInfo, { mode: 1, khz, nsec, incarnation: 0, reserved: 0 }, NO_TAIL);
//
//   beginRecord(sink, LIBXC.sharedInfo, {}, 4096);
//   source.move(4096, sink);
//   endRecord(sink, 4096);

import { assert } from "../../base/index.ts";
import { type Layout, type Row, type Sink, sizeOf } from "../../bytes/index.ts";
import { LIBXC_RECORD_BYTES_MAX, type Tail } from "../libxc/index.ts";
import { RECORD_HEADER } from "../libxl/index.ts";
import { writeFields, writeZeros } from "./fields.ts";

/** A row of either format's record table. */
export interface WritableRecord {
  readonly type: number;
  readonly name: string;
  readonly head: Layout;
  readonly tail: Tail | "none" | "bytes";
}

export const NO_TAIL = new Uint8Array(0);
const RECORD_ALIGNMENT = 8;

/** Appends a record's header and head; `tailBytes` of tail and endRecord() must follow. */
export function beginRecord<R extends WritableRecord>(
  sink: Sink,
  record: R,
  head: Row<R["head"]>,
  tailBytes: number,
): void {
  assert(
    tailFits(record.tail, tailBytes),
    `${tailBytes} bytes can follow the head of ${record.name}`,
  );
  const bodyBytes = sizeOf(record.head) + tailBytes;
  beginBody(sink, { type: record.type, bodyBytes });
  if (sizeOf(record.head) > 0) writeFields(sink, record.head, head);
}

/** Appends the header of a record whose body, head and all, is written by the caller. */
export function beginBody(
  sink: Sink,
  { type, bodyBytes }: { readonly type: number; readonly bodyBytes: number },
): void {
  assert(bodyBytes <= LIBXC_RECORD_BYTES_MAX, "a record is at most 128 MiB");
  writeFields(sink, RECORD_HEADER, { type, body_length: bodyBytes });
}

/** Pads a record whose body is all there. */
export function endRecord(sink: Sink, bodyBytes: number): void {
  const over = bodyBytes % RECORD_ALIGNMENT;
  if (over > 0) writeZeros(sink, RECORD_ALIGNMENT - over);
}

/** Appends a whole record. */
export function writeRecord<R extends WritableRecord>(
  sink: Sink,
  record: R,
  head: Row<R["head"]>,
  tail: Uint8Array,
): void {
  beginRecord(sink, record, head, tail.byteLength);
  sink.write(tail);
  endRecord(sink, sizeOf(record.head) + tail.byteLength);
}

function tailFits(tail: WritableRecord["tail"], bytes: number): boolean {
  if (tail === "none") return bytes === 0;
  if (tail === "bytes") return true;
  switch (tail.kind) {
    case "none":
      return bytes === 0;
    case "bytes":
      return bytes >= tail.min && bytes <= tail.max;
    case "rows":
      return bytes % sizeOf(tail.row) === 0 && bytes >= tail.min * sizeOf(tail.row);
    case "pages":
      return bytes >= 8;
  }
}
