// What squashing a stream gives. SquashReportSchema is the documented schema of `agent squash
// --json` (`agent schema squash` prints it): fields are only ever added.

import * as v from "valibot";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));

export const SquashReportSchema = v.strictObject({
  input: text('what was read: a path, "standard input", "descriptor 3"'),
  output: text("what was written"),
  format: v.pipe(
    v.picklist(["xl", "libxl", "libxc", "xapi"]),
    v.description("of the input and of the output"),
  ),
  compression: v.nullable(v.picklist(["zstd", "gzip"])),
  kind: v.pipe(v.picklist(["plain", "remus", "colo"]), v.description("of the input")),
  guest_type: v.picklist(["pv", "hvm"]),
  libxc_version: count("version of the libxc image, the same in input and output: 2 or 3"),
  checkpoint: v.nullable(count("the checkpoint that was taken; null for a plain stream")),
  checkpoints: count("complete checkpoints of the input"),
  end_offset: count("offset in the input of the end of what counts"),
  dropped_bytes: count("bytes of stream behind that: later checkpoints, or part of one"),
  pages: v.strictObject({
    sent: count("entries up to the end that counts: a page sent twice counts twice"),
    sent_with_data: count("those of them that carry contents"),
    kept: count("pfns of the output, each once"),
    kept_with_data: count("those of them that carry contents"),
    only_compared: count("entries behind a VERIFY record: a restore compares and forgets them"),
  }),
  optional_records: count("records of unknown optional types, which are left out"),
  input_bytes: count("up to the end that counts"),
  output_bytes: count("size of the output"),
});
export type SquashReport = v.InferOutput<typeof SquashReportSchema>;
