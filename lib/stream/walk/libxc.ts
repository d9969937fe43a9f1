// Walking a libxc image: headers, then records up to END, or up to a CHECKPOINT, behind which the
// stream belongs to libxl until its CHECKPOINT_END.

import { hex, plural } from "../../base/index.ts";
import { offsetOf, read, sizeOf } from "../../bytes/index.ts";
import {
  DOMAIN_HEADER,
  IMAGE_HEADER,
  isOptionalType,
  LIBXC,
  LIBXC_RECORD_BYTES_MAX,
  libxcRecordOf,
  OPTION_BIG_ENDIAN_MASK,
  PAGE_DATA_HEAD,
} from "../libxc/index.ts";
import { RECORD_HEADER } from "../libxl/index.ts";
import type { Cursor } from "./cursor.ts";
import { givePfns } from "./pfn-list.ts";
import type { StreamRecord } from "./visitor.ts";

const RECORD_HEADER_BYTES = sizeOf(RECORD_HEADER);
const BODY_LENGTH_AT = offsetOf(RECORD_HEADER, "body_length");
const PAGE_DATA_HEAD_BYTES = sizeOf(PAGE_DATA_HEAD);
const PFN_BYTES = 8;

/** No writer emits unknown optional records; a stream with more than this is not one. */
const UNKNOWN_OPTIONAL_MAX = 65536;

/** Image header and domain header. Throws what libxc would refuse. */
export function walkLibxcHeaders(cursor: Cursor): void {
  const place = cursor.place("libxc", "image_header");
  const image = cursor.header(IMAGE_HEADER, place);
  const { options } = read(IMAGE_HEADER, image.view, image.at);
  if ((options & OPTION_BIG_ENDIAN_MASK) !== 0) {
    throw cursor.fail(place, {
      field: "options",
      fileOffset: place.fileOffset + offsetOf(IMAGE_HEADER, "options"),
      expected: "bit 0 clear (little-endian)",
      found: `${hex(options)}: written on a big-endian host`,
    });
  }
  cursor.header(DOMAIN_HEADER, cursor.place("libxc", "domain_header"));
}

/**
 * Records up to and including END or CHECKPOINT; tells which. `unknownOptional`: so many such
 * records came before, in the same round.
 */
export function walkLibxcRecords(cursor: Cursor, unknownOptional: number): "end" | "checkpoint" {
  for (let unknown = unknownOptional; ;) {
    cursor.seam("libxc", unknown);
    const record = takeRecordHeader(cursor);
    if (record.type === LIBXC.pageData.type) walkPageData(cursor, record);
    else cursor.body(record, sizeOf(libxcRecordOf(record.type)?.head ?? {}));
    cursor.padding(record);
    cursor.visitor.recordEnd(record);
    if (record.type === LIBXC.end.type) return "end";
    if (record.type === LIBXC.checkpoint.type) return "checkpoint";
    if (isOptionalType(record.type) && ++unknown > UNKNOWN_OPTIONAL_MAX) {
      const expected = `at most ${UNKNOWN_OPTIONAL_MAX} unknown optional records`;
      throw cursor.fail(record, { field: "type", expected, found: "one more" });
    }
  }
}

function takeRecordHeader(cursor: Cursor): StreamRecord {
  const place = cursor.place("libxc", "record_header");
  const { view, at } = cursor.take(RECORD_HEADER_BYTES, place, "header");
  const type = view.getUint32(at, true);
  const bodyBytes = view.getUint32(at + 4, true);
  const record = cursor.record({
    layer: "libxc",
    record: libxcRecordOf(type)?.name ?? `type ${hex(type)}`,
    fileOffset: place.fileOffset,
    type,
    bodyBytes,
  });
  if (bodyBytes > LIBXC_RECORD_BYTES_MAX) {
    throw cursor.fail(record, {
      field: "body_length",
      fileOffset: record.fileOffset + BODY_LENGTH_AT,
      expected: `at most ${hex(LIBXC_RECORD_BYTES_MAX)}`,
      found: hex(bodyBytes),
    });
  }
  return record;
}

/**
 * u32 count, u32 reserved, u64 pfn[count], then 4096 bytes for each pfn whose type carries data.
 */
function walkPageData(cursor: Cursor, record: StreamRecord): void {
  const { visitor } = cursor;
  const want = visitor.record(record);
  if (want === "nothing") return cursor.skip(record.bodyBytes, record, "body");
  if (record.bodyBytes < PAGE_DATA_HEAD_BYTES) {
    visitor.problem({
      ...record,
      severity: "error",
      strict: true,
      field: "body_length",
      fileOffset: record.fileOffset + BODY_LENGTH_AT,
      expected: `at least ${PAGE_DATA_HEAD_BYTES}`,
      found: String(record.bodyBytes),
    });
    return cursor.skip(record.bodyBytes, record, "body");
  }
  const head = cursor.take(PAGE_DATA_HEAD_BYTES, record, "head");
  const count = head.view.getUint32(head.at, true);
  visitor.body(record, head);
  const listBytes = count * PFN_BYTES;
  const contentBytes = record.bodyBytes - PAGE_DATA_HEAD_BYTES - listBytes;
  if (contentBytes < 0) {
    visitor.problem({
      ...record,
      severity: "error",
      strict: true,
      field: "body_length",
      fileOffset: record.fileOffset + BODY_LENGTH_AT,
      expected: `at least ${PAGE_DATA_HEAD_BYTES + listBytes} for ${plural(count, "pfn")}`,
      found: String(record.bodyBytes),
    });
    return cursor.skip(record.bodyBytes - PAGE_DATA_HEAD_BYTES, record, "body");
  }
  givePfns(cursor, record, { count, wordsPerPfn: 2 });
  if (want === "body") cursor.pieces(record, contentBytes, (piece) => visitor.pages(record, piece));
  else cursor.rest(record, want, { bytes: contentBytes, field: "page contents" });
}
