// What verifying a stream gives. VerifyReport is the documented schema of `agent verify --json`:
// fields are only ever added. Offsets are byte offsets in the input, from 0; in compressed input,
// in the expanded stream. They are numbers: no stream reaches 2^53 bytes.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const FindingSchema = v.strictObject({
  /**
   * error: a reader (libxl, libxc, Xen, QEMU) would refuse it. warning: accepted, but suspicious.
   */
  severity: v.picklist(["error", "warning"]),
  /** Xen's own verifier, verify-stream-v2, refuses the stream for it. */
  strict: v.boolean(),
  /** The framing: input, xl, xapi, libxl, libxc, legacy, hvm_context, qemu. */
  layer: v.string(),
  /** Name of the record or header, such as PAGE_DATA. */
  record: v.string(),
  /** Records of all layers counted from 1; 0 before the first one. */
  record_number: count,
  field: v.string(),
  /** Offset of the field. */
  offset: count,
  expected: v.string(),
  found: v.string(),
});

export const VerifyReportSchema = v.strictObject({
  /** What was read: a path, "standard input", "descriptor 3". */
  input: v.string(),
  verdict: v.picklist(["good", "bad", "unrecognised"]),
  /** null: none of ours. */
  format: v.nullable(v.picklist(["xl", "libxl", "libxc", "xapi", "legacy"])),
  compression: v.nullable(v.picklist(["zstd", "gzip"])),
  /** plain, or checkpointed by Remus or COLO. */
  kind: v.picklist(["plain", "remus", "colo"]),
  /** Where the stream ends, or where it could not be read any further. */
  end_offset: count,
  records: count,
  guest: v.strictObject({
    /** From the xl config. */
    name: v.nullable(v.string()),
    type: v.nullable(v.picklist(["pv", "hvm"])),
    /** Xen that wrote it, "4.20"; null for a converted or legacy stream. */
    xen: v.nullable(v.string()),
    libxc_version: v.nullable(count),
  }),
  pages: v.strictObject({
    /** Entries of all batches: a page sent twice counts twice. */
    sent: count,
    with_data: count,
    /** Distinct pfns; null where they were too scattered to count. */
    distinct: v.nullable(count),
  }),
  checkpoints: v.strictObject({
    /** Complete ones. */
    complete: count,
    /** Offset behind the last complete one. */
    last_end_offset: v.nullable(count),
    /**
     * At its end the stream could be failed over to; null for a stream that has an END or is plain.
     */
    failover: v.nullable(v.boolean()),
  }),
  /** What stands behind the stream; null for nothing, or a pipe, which is not read further. */
  trailing: v.nullable(v.strictObject({ offset: count, bytes: count, what: v.string() })),
  errors: count,
  warnings: count,
  /** Those of the warnings that verify-stream-v2 refuses a stream for. */
  strict_warnings: count,
  /** The first ones, up to --limit. */
  findings: v.array(FindingSchema),
});
export type VerifyReport = v.InferOutput<typeof VerifyReportSchema>;
