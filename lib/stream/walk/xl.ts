// Walking an xl save file: magic, header, optional data, then the stream that the flags name.

import { WHOLE_BODY_BYTES, read, sizeOf } from "../../bytes/index.ts";
import {
  BYTEORDER_SWAPPED,
  CONFIG_HEAD,
  SAVE_HEADER,
  SAVE_MAGIC,
  STREAM_V2_MASK,
} from "../xl/index.ts";
import type { Cursor } from "./cursor.ts";

/** Returns the format of the stream behind the header. */
export function walkXlHeader(cursor: Cursor): "libxl" | "legacy" {
  const magicPlace = cursor.place("xl", "save_header");
  const magic = cursor.take(SAVE_MAGIC.byteLength, magicPlace, "magic");
  const found = magic.bytes.subarray(magic.at, magic.at + magic.length);
  if (!found.every((byte, index) => byte === SAVE_MAGIC[index])) {
    const expected = '"Xen saved domain, xl format"';
    throw cursor.fail(magicPlace, { field: "magic", expected, found: `bytes ${found.toHex()}` });
  }
  cursor.visitor.literal?.(magicPlace, magic);
  const place = cursor.place("xl", "save_header");
  const swapped = cursor.source.peek(4) === 4;
  const { view: ahead, at: aheadAt } = cursor.source;
  if (swapped && ahead.getUint32(aheadAt, true) === BYTEORDER_SWAPPED) {
    const expected = "0x1020304 in little-endian order";
    throw cursor.fail(place, {
      field: "byteorder",
      expected,
      found: "0x4030201: written on a big-endian host",
    });
  }
  const header = cursor.header(SAVE_HEADER, place);
  const row = read(SAVE_HEADER, header.view, header.at);
  walkOptionalData(cursor, row.optional_data_len);
  return (row.mandatory_flags & STREAM_V2_MASK) === 0 ? "legacy" : "libxl";
}

/** u32 config length, the config; what follows it within the optional data is ignored by xl. */
function walkOptionalData(cursor: Cursor, bytes: number): void {
  if (bytes === 0) return;
  const fileOffset = cursor.position;
  const fields = { layer: "xl", record: "CONFIG", fileOffset, type: 0, bodyBytes: bytes } as const;
  const record = cursor.record(fields);
  // An absurd length is passed over like any body nobody can want whole; the end of input then
  // tells.
  if (bytes > WHOLE_BODY_BYTES) {
    const expected = `at most ${WHOLE_BODY_BYTES} bytes of optional data`;
    const place = { field: "optional_data_len", fileOffset: fileOffset - 4 };
    throw cursor.fail(record, { ...place, expected, found: String(bytes) });
  }
  cursor.body(record, sizeOf(CONFIG_HEAD));
  cursor.visitor.recordEnd(record);
}
