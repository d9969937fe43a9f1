// What packing and unpacking give: the documents of `agent pack --json` and `agent unpack --json`.

import * as v from "valibot";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));

export const PackReportSchema = v.strictObject({
  input: text("what was packed"),
  output: text("where to"),
  is_whole: v.pipe(
    v.boolean(),
    v.description("the stream goes to its end; packed as it is if not"),
  ),
  stopped: v.nullable(text("why the stream could not be read to its end")),
  original_bytes: count("bytes packed"),
  packed_bytes: count("bytes written"),
  pages: v.strictObject({
    all: count("pages of contents in the stream"),
    zero: count("pages of zeros, which cost nothing"),
    repeated: count("pages that stood before, stored once"),
  }),
});
export type PackReport = v.InferOutput<typeof PackReportSchema>;

export const UnpackReportSchema = v.strictObject({
  input: text("the packed image"),
  output: text("where to"),
  original_bytes: count("size of the whole original"),
  from: count("offset in the original of the first byte given back"),
  bytes: count("bytes given back, every frame of them checked"),
});
export type UnpackReport = v.InferOutput<typeof UnpackReportSchema>;
