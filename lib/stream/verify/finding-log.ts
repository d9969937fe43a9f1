// Keeps the problems of a stream: all are counted, the first `limit` are kept. What a damaged
// stream can repeat a million times costs no memory.

import type { Finding, Place, Severity } from "../../bytes/index.ts";

export class FindingLog {
  readonly findings: Finding[] = [];
  errors = 0;
  warnings = 0;
  /** Warnings that Xen's own verifier refuses a stream for. */
  strictWarnings = 0;
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  add(finding: Finding): void {
    if (finding.severity === "error") this.errors++;
    else this.warnings++;
    if (finding.severity === "warning" && finding.strict) this.strictWarnings++;
    if (this.findings.length < this.limit) this.findings.push(finding);
  }

  /** Whether the same field of the same place was reported already. */
  has({ fileOffset, record, field }: Finding): boolean {
    return this.findings.some(
      (known) =>
        known.fileOffset === fileOffset && known.record === record && known.field === field,
    );
  }

  /** An error: a reader refuses it. */
  error(place: Place, what: What): void {
    this.add(findingOf("error", place, what));
  }

  /** Accepted, but suspicious. */
  warn(place: Place, what: What): void {
    this.add(findingOf("warning", place, what));
  }

  /** Accepted by libxl and libxc, refused by verify-stream-v2. */
  warnStrict(place: Place, what: What): void {
    this.add({ ...findingOf("warning", place, what), strict: true });
  }
}

export interface What {
  readonly field: string;
  readonly expected: string;
  readonly found: string | number;
  /** Where the field stands; without one, at the place. */
  readonly fileOffset?: number;
}

function findingOf(severity: Severity, place: Place, what: What): Finding {
  const { layer, record, recordNumber } = place;
  return {
    layer,
    record,
    recordNumber,
    fileOffset: what.fileOffset ?? place.fileOffset,
    severity,
    strict: severity === "error",
    field: what.field,
    expected: what.expected,
    found: String(what.found),
  };
}
