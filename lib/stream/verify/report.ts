// What verifying a stream gives. VerifyReportSchema is the documented schema of `agent verify
// --json` (`agent schema verify` prints it): fields are only ever added. Offsets are byte offsets
// in the input, from 0; in compressed input, in the expanded stream. They are plain numbers: no
// stream reaches 2^53 bytes.

import * as v from "valibot";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));
const flag = (what: string) => v.pipe(v.boolean(), v.description(what));

export const FindingSchema = v.strictObject({
  severity: v.pipe(
    v.picklist(["error", "warning"]),
    v.description("error: a reader (libxl, libxc, Xen, QEMU) refuses it; warning: suspicious"),
  ),
  strict: flag("an error, or a warning that verify-stream-v2, Xen's own verifier, refuses"),
  layer: text("the framing: input, xl, xapi, libxl, libxc, legacy, hvm_context or qemu"),
  record: text("name of the record or header, such as PAGE_DATA"),
  record_number: count("records of all layers counted from 1; 0 before the first one"),
  field: text("name of the field"),
  offset: count("absolute offset of the field"),
  expected: text("what a reader wants"),
  found: text("what stands there"),
});

const GuestSchema = v.strictObject({
  name: v.nullable(text("from the xl config")),
  type: v.nullable(v.picklist(["pv", "hvm"])),
  xen: v.nullable(text('the Xen that wrote it, "4.20"; null for a converted or legacy stream')),
  libxc_version: v.nullable(count("version of the libxc image: 2 or 3")),
});

const PagesSchema = v.strictObject({
  sent: count("entries of all batches: a page sent twice counts twice"),
  with_data: count("those of them that carry contents"),
  distinct: v.nullable(count("different pfns; null where they were too scattered to count")),
});

const CheckpointsSchema = v.strictObject({
  complete: count("complete checkpoints"),
  last_end_offset: v.nullable(count("offset behind the last complete one")),
  failover: v.nullable(
    flag("a receiver could fail over at the end; null for a stream that is plain or has an END"),
  ),
});

export const VerifyReportSchema = v.strictObject({
  input: text('what was read: a path, "standard input", "descriptor 3"'),
  verdict: v.pipe(
    v.picklist(["good", "bad", "unrecognised"]),
    v.description("good: no errors; unrecognised: no guest-state stream at all"),
  ),
  format: v.pipe(
    v.nullable(v.picklist(["xl", "libxl", "libxc", "xapi", "legacy", "colo-back"])),
    v.description("colo-back: what COLO's secondary sends to the primary"),
  ),
  compression: v.nullable(v.picklist(["zstd", "gzip"])),
  kind: v.pipe(
    v.picklist(["plain", "remus", "colo"]),
    v.description("plain, or checkpointed by Remus or COLO"),
  ),
  end_offset: count("where the stream ends, or where it could not be read any further"),
  records: count("records of all layers"),
  guest: GuestSchema,
  pages: PagesSchema,
  checkpoints: CheckpointsSchema,
  trailing: v.nullable(
    v.strictObject({
      offset: count("offset of the first byte behind the stream"),
      bytes: count("how many bytes stand there"),
      what: text("what they are, for people"),
    }),
  ),
  errors: count("all errors, listed or not"),
  warnings: count("all warnings, listed or not"),
  strict_warnings: count("warnings that verify-stream-v2 refuses a stream for"),
  findings: v.pipe(v.array(FindingSchema), v.description("the first ones, up to --limit")),
});
export type VerifyReport = v.InferOutput<typeof VerifyReportSchema>;
