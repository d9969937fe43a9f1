// Pieces that the walk of a legacy stream is made of.

import { hex } from "../../base/index.ts";
import { LEGACY_BLOB_BYTES_MAX } from "../legacy/index.ts";
import type { Cursor } from "./cursor.ts";
import type { StreamRecord } from "./visitor.ts";

export function announce(
  cursor: Cursor,
  record: string,
  { bodyBytes, startedAt }: { readonly bodyBytes: number; readonly startedAt?: number },
): StreamRecord {
  const fileOffset = startedAt ?? cursor.position;
  return cursor.record({ layer: "legacy", record, fileOffset, type: 0, bodyBytes });
}

/** A record without a header of its own. */
export function whole(
  cursor: Cursor,
  name: string,
  { bodyBytes, headBytes }: { readonly bodyBytes: number; readonly headBytes: number },
): void {
  const record = announce(cursor, name, { bodyBytes });
  cursor.body(record, headBytes);
  cursor.visitor.recordEnd(record);
}

export function takeU32(cursor: Cursor, record: string, field: string): number {
  const { view, at } = cursor.take(4, cursor.place("legacy", record), field);
  return view.getUint32(at, true);
}

/** A size that something of `record` claims; refused before anything is sized by it. */
export function takeSize(cursor: Cursor, record: string, width: 4 | 8): number {
  const place = cursor.place("legacy", record);
  const { view, at } = cursor.take(width, place, "size");
  const size =
    view.getUint32(at, true) + (width === 8 ? view.getUint32(at + 4, true) * 2 ** 32 : 0);
  if (size <= LEGACY_BLOB_BYTES_MAX) return size;
  const expected = `at most ${hex(LEGACY_BLOB_BYTES_MAX)}`;
  throw cursor.fail(place, { field: "size", expected, found: hex(size) });
}

export const printable = (text: string): string => text.replace(/[^ -~]/g, "?");
