// What a stream is taken apart into: a folder.
//
//   manifest.json    that it is one, and of what
//   records.jsonl    every header and record, one JSON object a line, in the order of the stream
//   pages.log        page contents as they stood in the stream: superseded ones are in it too
//   config.json, emulator.bin, xenstore.json, hvm-params.json, vcpu-0-basic.bin ...
//                    the bodies of records, named by the lines of records.jsonl
//   trailing.bin     what stood behind the end of the stream
//
// Lengths and padding stand nowhere: they are made anew. What a stream had that nobody would write
// again (padding that is not zero, a length that means nothing) is kept beside the record as hex.
// Every line is checked before it is believed: a folder may come from anywhere.

import * as v from "valibot";
import { PLAIN_NAME } from "../../sys/index.ts";

export const MANIFEST_NAME = "manifest.json";
export const RECORDS_NAME = "records.jsonl";
export const PAGES_NAME = "pages.log";
export const MANIFEST_VERSION = 1;

/** Above this a body is a file, not hex in a line. */
export const HEX_BYTES_MAX = 256;
/** A batch with more pfns keeps its body as it is: libxc writes 1024 at most. */
export const BATCH_PFNS_MAX = 16384;
/** The longest line: a whole batch of scattered pfns, or what was left of a damaged one. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
/** JSON files are read whole. */
export const JSON_BYTES_MAX = 16 * 1024 * 1024;

const hexText = v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/, "wanted hex, two digits a byte"));
const fileName = v.pipe(v.string(), v.regex(PLAIN_NAME, "wanted a plain file name"));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** Some bytes: as hex, a whole file, or a stretch of one. */
export const BytesSchema = v.union(
  [
    v.strictObject({ hex: hexText }),
    v.strictObject({ file: fileName }),
    v.strictObject({ file: fileName, at: count, bytes: count }),
  ],
  'wanted {"hex": ...}, {"file": ...} or {"file": ..., "at": ..., "bytes": ...}',
);
export type BytesPlace = v.InferOutput<typeof BytesSchema>;

const fieldValue = v.union(
  [
    v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    v.pipe(v.string(), v.regex(/^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i)),
  ],
  "wanted a number, or a string such as 0x1f",
);
export const FieldsSchema = v.record(v.string(), fieldValue);
export type Fields = v.InferOutput<typeof FieldsSchema>;

/** A record whose body is rows of one layout, in a file of its own. */
export const TableSchema = v.strictObject({ fields: FieldsSchema, rows: v.array(FieldsSchema) });
export type Table = v.InferOutput<typeof TableSchema>;

/** Keys and values in order: a list, for a key may stand twice. */
export const XenstoreSchema = v.array(v.strictTuple([v.string(), v.string()]));

/** Bytes that are no record: a signature, what stands behind the end. */
export const RawSchema = v.strictObject({
  raw: v.array(BytesSchema),
  /** For people. */
  what: v.optional(v.string()),
});
export type RawLine = v.InferOutput<typeof RawSchema>;

/** The xl save header with its optional data. */
export const SaveHeaderSchema = v.strictObject({
  layer: v.literal("xl"),
  header: v.literal("save_header"),
  fields: FieldsSchema,
  config: v.optional(
    v.strictObject({
      file: fileName,
      /** A NUL stands behind the text. */
      nul: v.boolean(),
      /** What stands behind the config in the optional data. */
      rest: v.optional(BytesSchema),
    }),
  ),
  /** Optional data that holds no config. */
  optional_data: v.optional(BytesSchema),
});
export type SaveHeaderLine = v.InferOutput<typeof SaveHeaderSchema>;

export const HeaderSchema = v.strictObject({
  layer: v.picklist(["libxl", "libxc"]),
  header: v.picklist(["header", "image_header", "domain_header"]),
  fields: FieldsSchema,
});
export type HeaderLine = v.InferOutput<typeof HeaderSchema>;

const PagesSchema = v.strictObject({
  /** Number of the first page in pages.log. */
  first: count,
  /** "0x10-0x1f NOTAB": which pfns, and the type that their contents were sent under. */
  pfns: v.array(v.string()),
  /** Bytes an entry, in a legacy stream. */
  width: v.optional(v.picklist([4, 8])),
});
export type Pages = v.InferOutput<typeof PagesSchema>;

export const RecordSchema = v.strictObject({
  layer: v.picklist(["libxl", "libxc", "xapi", "legacy"]),
  record: v.string(),
  /** The fields at the start of the body. */
  fields: v.optional(FieldsSchema),
  /** What stands behind the fields, or the whole body. One of these five at most. */
  data: v.optional(BytesSchema),
  table: v.optional(fileName),
  xenstore: v.optional(fileName),
  pages: v.optional(PagesSchema),
  body: v.optional(BytesSchema),
  /** Header and padding, where they are not what a writer would make. */
  head: v.optional(hexText),
  padding: v.optional(hexText),
  /** With `head`: what the body must measure, for the head tells its size. */
  bytes: v.optional(count),
  /** The QEMU record of the older suspend image. */
  framing: v.optional(v.literal("old")),
});
export type RecordLine = v.InferOutput<typeof RecordSchema>;

export type Line = RawLine | SaveHeaderLine | HeaderLine | RecordLine;

export const ManifestSchema = v.strictObject({
  agent_image: v.literal(MANIFEST_VERSION, `wanted version ${MANIFEST_VERSION}`),
  format: v.picklist(["xl", "libxl", "libxc", "xapi", "legacy"]),
  kind: v.picklist(["plain", "remus", "colo"]),
  /** Complete checkpoints. */
  checkpoints: count,
  /** Of the stream it was made from; one that is put together from edited parts may differ. */
  source: v.strictObject({ name: v.string(), bytes: count, records: count }),
  /** Where and why the stream could not be read on; null where it was whole. */
  stopped: v.nullable(v.string()),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;
