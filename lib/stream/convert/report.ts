// What a conversion gives. ConvertReport is the documented schema of `agent convert --json`: fields
// are only ever added.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const format = v.picklist(["xl", "libxl", "libxc", "xapi", "legacy"]);

export const ConvertReportSchema = v.strictObject({
  /** What was read and written: a path, "standard input", "descriptor 3". */
  input: v.string(),
  output: v.string(),
  /** The framing of the input, outermost, and whether it held a legacy stream. */
  input_format: format,
  was_legacy: v.boolean(),
  /** The framing of the output, outermost. */
  output_format: format,
  libxc_version: v.picklist([2, 3]),
  /** Of a legacy stream: the word width in bits of the toolstack that wrote it. */
  toolstack_width: v.nullable(v.picklist([32, 64])),
  guest: v.nullable(v.picklist(["pv", "hvm"])),
  /** Word width of a PV guest in bits. */
  guest_width: v.nullable(v.picklist([32, 64])),
  bytes_in: count,
  bytes_out: count,
  /** Of a legacy stream: entries passed on, and those that stood for unmapped runs. */
  pages: v.nullable(v.strictObject({ sent: count, with_data: count, unmapped: count })),
  /** Signature of a legacy stream's QEMU record. */
  qemu: v.nullable(v.string()),
  /** What stands behind the stream and was not converted; null for nothing, or a pipe. */
  trailing: v.nullable(v.strictObject({ offset: count, bytes: count, what: v.string() })),
});
export type ConvertReport = v.InferOutput<typeof ConvertReportSchema>;
