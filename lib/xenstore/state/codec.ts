// From bytes to a state and back, whatever the format.

import type { Place } from "../../bytes/index.ts";
import { JSON_FORMAT } from "./json-schema.ts";
import { decodeJson, encodeJson } from "./json.ts";
import type { StateFormat, StateTarget } from "./losses.ts";
import type { StoreState } from "./model.ts";
import { latin1, refusal } from "./record-reader.ts";
import { decodeStream } from "./stream-reader.ts";
import { encodeStream } from "./stream-writer.ts";
import { decodeText, encodeText, TEXT_HEADER } from "./text.ts";

/** A file larger than this is no dump of a store. */
export const DUMP_BYTES_MAX = 1024 * 1024 * 1024;

export interface Decoded {
  readonly state: StoreState;
  readonly format: StateFormat;
  /** What the dump should have told and does not; and what of it is not understood. */
  readonly notes: readonly string[];
}

const STREAM_START = "xenstore\0";
const OBJECT_START = /^[ \t\r\n]*\{/;
const LOOK_BYTES = 4096;
/** oxenstored's other file of the same name, of `persistent = true`. */
const PERSISTENT_START = /^\/[A-Za-z0-9_@/-]*\{/;

/** The format by the first bytes; undefined: none of them. */
export function detectStateFormat(bytes: Uint8Array): StateFormat | undefined {
  const start = latin1(bytes.subarray(0, LOOK_BYTES));
  if (start.startsWith(STREAM_START)) return bytes[11] === 2 ? "stream-v2" : "stream";
  if (start.startsWith(TEXT_HEADER)) return "text";
  return OBJECT_START.test(start) ? "json" : undefined;
}

/** A whole dump of any format. Throws StreamError. */
export function decodeState(bytes: Uint8Array): Decoded {
  const format = detectStateFormat(bytes);
  if (format === undefined) throw unrecognised(bytes);
  if (format === "text" || format === "json") {
    const state = format === "text" ? decodeText(bytes) : decodeJson(bytes);
    return { state, format, notes: unknownNotes(state) };
  }
  const { state, notes } = decodeStream(bytes);
  return { state, format, notes: [...notes, ...unknownNotes(state)] };
}

/** What is not in it, `losses` tells. Throws RefusedError. */
export function encodeState(state: StoreState, { format, variant }: StateTarget): Uint8Array {
  if (format === "text") return encodeText(state);
  if (format === "json") return encodeJson(state);
  return encodeStream(state, { version: format === "stream" ? 1 : 2, variant });
}

function unrecognised(bytes: Uint8Array) {
  const place: Place = { layer: "xenstore", record: "dump", recordNumber: 0, fileOffset: 0 };
  const expected = `"xenstore", "${TEXT_HEADER}" or a JSON document of ${JSON_FORMAT}`;
  const start = latin1(bytes.subarray(0, LOOK_BYTES));
  const found =
    bytes.length === 0
      ? "nothing"
      : PERSISTENT_START.test(start)
        ? "oxenstored's file of persistent nodes, which is another format"
        : `bytes ${Buffer.from(bytes.subarray(0, 16)).toString("hex")}`;
  return refusal(place, { field: "start", expected, found });
}

function unknownNotes({ unknown }: StoreState): string[] {
  const names = new Set(
    unknown.map((part) =>
      part.kind === "line"
        ? `lines "${part.text.split(",", 1)[0]}"`
        : `records of type 0x${part.type.toString(16)}`,
    ),
  );
  if (names.size === 0) return [];
  const told = [...names].slice(0, 4).join(", ");
  return [`kept and not understood: ${told}${names.size > 4 ? " and others" : ""}`];
}
