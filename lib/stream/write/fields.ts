// The writing end of the layout tables: fields into a sink, through the same table that reads them.

import { assert } from "../../base/index.ts";
import {
  check,
  type Layout,
  type Place,
  type Row,
  type Sink,
  sizeOf,
  StreamError,
  write,
} from "../../bytes/index.ts";

const NOWHERE = { layer: "input", record: "written", recordNumber: 0, fileOffset: 0 } as const;

/** Appends a layout. A value that a reader would refuse is our bug: it is never written. */
export function writeFields<L extends Layout>(sink: Sink, layout: L, row: Row<L>): void {
  const at = sink.build(sizeOf(layout));
  write(layout, sink.view, at, row);
  for (const { severity, field, expected, found } of check(layout, sink.view, at, NOWHERE)) {
    assert(severity !== "error", `${field} is written as ${expected}, not ${found}`);
  }
}

/** Appends zeros. */
export function writeZeros(sink: Sink, bytes: number): void {
  const at = sink.build(bytes);
  sink.bytes.fill(0, at, at + bytes);
}

/** For fields that come from an input: throws the first that a reader refuses. */
export function refuseBad(
  layout: Layout,
  { view, at }: { readonly view: DataView; readonly at: number },
  place: Place,
): void {
  for (const finding of check(layout, view, at, place)) {
    if (finding.severity === "error") throw new StreamError(finding);
  }
}
