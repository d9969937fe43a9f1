// Where a verification stands between two records: the walk's place and what the checkers remember.
// As JSON it goes from one program to the next, which checks it as it checks anything it is given.

import * as v from "valibot";
import type { Finding } from "../../bytes/index.ts";
import { WalkMarkSchema } from "../walk/index.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const words = v.array(v.string());
const orNull = <S extends v.GenericSchema>(schema: S) => v.nullable(schema);

export const FindingMarkSchema = v.strictObject({
  severity: v.picklist(["error", "warning"]),
  strict: v.boolean(),
  layer: v.picklist(["input", "xl", "libxl", "libxc", "xapi", "legacy", "hvm_context", "qemu"]),
  record: v.string(),
  recordNumber: count,
  field: v.string(),
  fileOffset: v.number(),
  expected: v.string(),
  found: v.string(),
});

/** A finding without whatever else stands in the object that it was made from. */
export const findingMark = (finding: Finding): v.InferInput<typeof FindingMarkSchema> => ({
  severity: finding.severity,
  strict: finding.strict,
  layer: v.parse(FindingMarkSchema.entries.layer, finding.layer),
  record: finding.record,
  recordNumber: finding.recordNumber,
  field: finding.field,
  fileOffset: finding.fileOffset,
  expected: finding.expected,
  found: finding.found,
});

const LogSchema = v.strictObject({
  errors: count,
  warnings: count,
  strictWarnings: count,
  warningsKept: count,
  findings: v.array(FindingMarkSchema),
});

const LibxcSchema = v.strictObject({
  xenVersion: orNull(v.string()),
  image: v.strictObject({
    version: count,
    domainType: count,
    isConverted: v.boolean(),
    guestWidth: orNull(count),
    tableLevels: orNull(count),
    pfnLast: orNull(v.number()),
    checkpoints: count,
    seen: words,
    seenThisRound: words,
    vcpus: v.array(count),
    reported: words,
  }),
  pages: v.strictObject({
    pagesSent: count,
    pagesWithData: count,
    pfnMax: v.number(),
    tableLevelMax: count,
    highest: v.number(),
    seen: v.strictObject({
      count,
      isFull: v.boolean(),
      pages: v.array(v.tuple([count, v.string()])),
    }),
  }),
});

export const VerifyMarkSchema = v.strictObject({
  walk: WalkMarkSchema,
  log: LogSchema,
  config: v.strictObject({ type: orNull(v.string()), name: orNull(v.string()) }),
  configIsJson: v.boolean(),
  libxc: LibxcSchema,
  libxl: v.strictObject({
    hasContext: v.boolean(),
    inCheckpoints: v.boolean(),
    inTail: v.boolean(),
    emulatorContexts: count,
  }),
});
export type VerifyMark = v.InferOutput<typeof VerifyMarkSchema>;
