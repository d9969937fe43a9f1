// Keeps the problems of a stream: all are counted, the first `limit` are kept, and no warning keeps
// an error out. What a damaged stream can repeat a million times costs no memory.

import { type Finding, type Place, type Severity, StreamError } from "../../bytes/index.ts";

/**
 * A stream with more errors is not read any further: what is bad stays bad, and one that never ends
 * would never be done with. Warnings do not end it: a large good stream may have many.
 */
export const ERRORS_MAX = 65536;

export interface LogState {
  readonly errors: number;
  readonly warnings: number;
  readonly strictWarnings: number;
  readonly warningsKept: number;
  readonly findings: readonly Finding[];
}

export class FindingLog {
  readonly findings: Finding[] = [];
  errors = 0;
  warnings = 0;
  /** Warnings that Xen's own verifier refuses a stream for. */
  strictWarnings = 0;
  private readonly limit: number;
  private warningsKept = 0;
  private readonly told: ((finding: Finding) => void) | undefined;

  /** `told`: of every finding at once, kept or not. */
  constructor(limit: number, told?: (finding: Finding) => void) {
    this.limit = limit;
    this.told = told;
  }

  get state(): LogState {
    const { errors, warnings, strictWarnings, warningsKept, findings } = this;
    return { errors, warnings, strictWarnings, warningsKept, findings };
  }

  /** As another log was, of the same limit. */
  restore({ findings, ...counts }: LogState): void {
    this.findings.splice(0, this.findings.length, ...findings);
    this.errors = counts.errors;
    this.warnings = counts.warnings;
    this.strictWarnings = counts.strictWarnings;
    this.warningsKept = counts.warningsKept;
  }

  /** Throws a StreamError behind ERRORS_MAX errors. */
  add(finding: Finding): void {
    this.count(finding);
    if (this.errors <= ERRORS_MAX || finding.severity !== "error") return;
    const expected = `at most ${ERRORS_MAX} errors in a stream`;
    throw new StreamError({ ...finding, field: "errors", expected, found: "one more" });
  }

  private count(finding: Finding): void {
    if (finding.severity === "error") this.errors++;
    else this.warnings++;
    if (finding.severity === "warning" && finding.strict) this.strictWarnings++;
    this.keep(finding);
    this.told?.(finding);
  }

  /**
   * Why the walk could not go on: kept whatever came before. `known`: the finding that was added
   * when its header was announced, which is the same.
   */
  addStop(finding: Finding, known: Finding | undefined): void {
    const stop = known ?? finding;
    if (known === undefined) this.count(finding);
    if (this.limit > 0 && !this.findings.includes(stop)) this.findings[this.limit - 1] = stop;
  }

  private keep(finding: Finding): void {
    const { findings, limit } = this;
    const isWarning = finding.severity === "warning";
    if (findings.length === limit) {
      if (isWarning || this.warningsKept === 0) return;
      findings.splice(
        findings.findLastIndex(({ severity }) => severity === "warning"),
        1,
      );
      this.warningsKept--;
    }
    findings.push(finding);
    if (isWarning) this.warningsKept++;
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
