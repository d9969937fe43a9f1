// What must hold of every report, whatever was verified.

import * as v from "valibot";
import { assert } from "../../lib/base/index.ts";
import type { StreamRecord } from "../../lib/stream/walk/index.ts";
import type { Format } from "../../lib/stream/detect.ts";
import type { Source } from "../../lib/bytes/index.ts";
import {
  type VerifyReport,
  VerifyReportSchema,
  verifyStream,
} from "../../lib/stream/verify/index.ts";

export const LIMIT = 20;

/** Verifies `source`, and asserts that records follow each other and lie in the input. */
export function verifyForFuzz(
  source: Source,
  { bytesTotal, format }: { readonly bytesTotal: number; readonly format: Format | undefined },
): VerifyReport {
  let lastStart = -1;
  let lastNumber = 0;
  return verifyStream(source, {
    format,
    compression: undefined,
    limit: LIMIT,
    onProgress(position) {
      assert(position <= bytesTotal, "progress stays within the input");
    },
    listener: {
      record({ fileOffset, bodyOffset, bodyBytes, recordNumber }: StreamRecord) {
        assert(fileOffset >= lastStart, "records stand in the order of their offsets");
        assert(bodyOffset >= fileOffset, "a body begins in or behind its header");
        assert(bodyOffset <= bytesTotal, "a body begins within the input");
        assert(Number.isSafeInteger(bodyBytes) && bodyBytes >= 0, "a length is a whole number");
        assert(recordNumber === lastNumber + 1, "records are numbered without gaps");
        lastStart = fileOffset;
        lastNumber = recordNumber;
      },
    },
  });
}

/** Throws a Bug where the report contradicts itself or the input. */
export function checkReport(report: VerifyReport, bytesTotal: number): void {
  const { verdict, format, errors, warnings, findings, end_offset, checkpoints } = report;
  assert(
    findings.length === Math.min(LIMIT, errors + warnings),
    "as many findings as the limit lets",
  );
  assert((verdict === "unrecognised") === (format === null), "unrecognised is what has no format");
  assert((verdict === "good") === (errors === 0), "good is what has no errors");
  const kept = findings.filter(({ severity }) => severity === "error").length;
  assert(kept === Math.min(errors, LIMIT), "no warning keeps an error out");
  assert(report.strict_warnings <= warnings, "strict warnings are warnings");
  assert(end_offset <= bytesTotal, "the stream ends within the input");
  for (const finding of findings) {
    assert(finding.offset >= 0, "an offset is not negative");
    assert(finding.offset <= bytesTotal, `an offset within the input: ${JSON.stringify(finding)}`);
    assert(finding.record_number <= report.records, "a finding names a record that was met");
    const text = `${finding.record}.${finding.field}: ${finding.expected}, ${finding.found}`;
    assert(!/undefined|NaN|Infinity|\[object/.test(text), `a finding reads well: ${text}`);
    assert(text.length < 1000, "a finding is short");
  }
  const { complete, last_end_offset: lastEnd } = checkpoints;
  assert((complete === 0) === (lastEnd === null), "a checkpoint has an end");
  assert(lastEnd === null || lastEnd <= end_offset, "a checkpoint ends before the stream does");
  const { sent, with_data: withData, distinct } = report.pages;
  assert(withData <= sent, "pages with data are pages");
  assert(distinct === null || distinct <= sent, "distinct pfns are at most all");
  const { trailing } = report;
  const toldBytes = end_offset + (trailing?.bytes ?? 0);
  assert(verdict !== "good" || toldBytes === bytesTotal, "a good stream is read to its end");
  if (trailing === null) return;
  assert(trailing.offset === end_offset, "what trails begins where the stream ends");
  assert(trailing.offset + trailing.bytes === bytesTotal, "what trails goes to the end");
}

/** Slower: whether the report is what `verify --json` promises. */
export const checkSchema = (report: VerifyReport): void => void v.parse(VerifyReportSchema, report);
