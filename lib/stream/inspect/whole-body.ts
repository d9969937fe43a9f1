// A record's body that arrived in one piece, as its readers see it.

import { type Layout, read, type Row, sizeOf } from "../../bytes/index.ts";
import type { Piece, StreamRecord } from "../walk/index.ts";

export interface WholeBody {
  readonly record: StreamRecord;
  /** Exactly the body, valid only during the call. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

export function wholeBody(record: StreamRecord, { bytes, at, length }: Piece): WholeBody {
  const body = bytes.subarray(at, at + length);
  return {
    record,
    bytes: body,
    view: new DataView(body.buffer, body.byteOffset, body.byteLength),
  };
}

/** All fields of `layout` at `at`; undefined where the body is too short. */
export const readWithin = <L extends Layout>(
  { view }: Pick<WholeBody, "view">,
  layout: L,
  at: number,
): Row<L> | undefined =>
  at + sizeOf(layout) <= view.byteLength ? read(layout, view, at) : undefined;

/** The rows of a table from `at` on, at most `most` of them. */
export function rowsWithin<L extends Layout>(
  body: Pick<WholeBody, "view">,
  layout: L,
  { at, most }: { readonly at: number; readonly most: number },
): Row<L>[] {
  const rowBytes = sizeOf(layout);
  const count = Math.max(0, Math.floor((body.view.byteLength - at) / rowBytes));
  return Array.from({ length: Math.min(count, most) }, (_, index) =>
    read(layout, body.view, at + index * rowBytes),
  );
}

/** Bytes of a name or value from the stream as text; control characters as \x escapes. */
export const printable = (bytes: Uint8Array): string =>
  new TextDecoder()
    .decode(bytes)
    // oxlint-disable-next-line no-control-regex -- they are what is looked for.
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
      return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
    });
