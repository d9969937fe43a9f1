// What is kept of many findings: no more than the limit, errors before warnings, and always why the
// walk stopped. All are counted.

import { describe, expect, test } from "bun:test";
import type { Finding, Severity } from "../../../lib/bytes/index.ts";
import { IMAGE_HEADER } from "../../../lib/stream/libxc/index.ts";
import { ERRORS_MAX, FindingLog } from "../../../lib/stream/verify/finding-log.ts";
import { libxcRecords, PV64 } from "../../helpers/stream-builder.ts";
import { encode, insertBefore, recordNamed, setField } from "../../helpers/stream-plan.ts";
import { unknownRecord } from "../../helpers/stream-records.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

const finding = (severity: Severity, recordNumber: number): Finding => ({
  severity,
  strict: recordNumber % 2 === 0,
  layer: "libxc",
  record: "PAGE_DATA",
  recordNumber,
  fileOffset: recordNumber * 8,
  field: "count",
  expected: "one",
  found: "another",
});

/** "w1 e2": severities and record numbers. */
const kept = (log: FindingLog): string =>
  log.findings.map(({ severity, recordNumber }) => `${severity[0]}${recordNumber}`).join(" ");

describe("a log of three", () => {
  test.each([
    // added               kept          errors  warnings
    ["w1 w2 w3", "w1 w2 w3", 0, 3],
    ["w1 w2 w3 w4 w5", "w1 w2 w3", 0, 5],
    ["e1 e2 e3 e4", "e1 e2 e3", 4, 0],
    ["w1 w2 w3 e4", "w1 w2 e4", 1, 3],
    ["w1 e2 w3 e4 e5 e6", "e2 e4 e5", 4, 2],
    ["e1 w2 e3 w4", "e1 w2 e3", 2, 2],
  ] as const)("%s", (added, expected, errors, warnings) => {
    const log = new FindingLog(3);
    for (const [severity, number] of added.split(" ")) {
      log.add(finding(severity === "e" ? "error" : "warning", Number(number)));
    }
    expect(kept(log)).toBe(expected);
    expect(log).toMatchObject({ errors, warnings });
  });

  test("why the walk stopped takes the last place", () => {
    const log = new FindingLog(3);
    for (const number of [1, 2, 3, 4]) log.add(finding("error", number));
    log.addStop(finding("error", 9), undefined);
    expect(kept(log)).toBe("e1 e2 e9");
    expect(log.errors).toBe(5);
  });

  test("why the walk stopped is counted once where it is known", () => {
    const log = new FindingLog(3);
    const known = finding("error", 1);
    log.add(known);
    log.add(finding("warning", 2));
    log.addStop(finding("error", 1), known);
    expect(kept(log)).toBe("e1 w2");
    expect(log).toMatchObject({ errors: 1, warnings: 1 });
  });

  test("one error more than a stream may have ends it; warnings never do", () => {
    const log = new FindingLog(3);
    for (let number = 1; number <= ERRORS_MAX; number++) {
      log.add(finding("error", number));
      log.add(finding("warning", number));
    }
    const expected = "expected at most 65536 errors in a stream, found one more";
    expect(() => log.add(finding("error", 7))).toThrow(expected);
    expect(log).toMatchObject({ errors: ERRORS_MAX + 1, warnings: ERRORS_MAX });
    log.addStop(finding("error", 8), undefined);
    expect(kept(log)).toBe("e1 e2 e8");
  });

  test("strict warnings are counted apart", () => {
    const log = new FindingLog(3);
    for (const number of [1, 2, 3, 4]) log.add(finding("warning", number));
    expect(log).toMatchObject({ warnings: 4, strictWarnings: 2 });
  });
});

describe("the report of a stream", () => {
  test("a header with two faults stops at the first, which counts once", () => {
    const plan = { records: libxcRecords(PV64) };
    const header = recordNamed(plan, "image_header");
    setField(header, IMAGE_HEADER, { field: "version", value: 4 });
    setField(header, IMAGE_HEADER, { field: "options", value: 2 });
    const report = verifyBytes(encode(plan).bytes, {});
    expect(findingLines(report)).toEqual([
      "error libxc image_header.version at 0xc: expected 0x2 or 0x3, found 0x4",
      "warning! libxc image_header.options at 0x10: " +
        "expected no bits but 0x1 (big-endian), found 0x2",
    ]);
    expect(report).toMatchObject({ errors: 1, warnings: 1 });
  });

  test("the end of the input is told behind any number of warnings", () => {
    const plan = { records: libxcRecords(PV64) };
    const strangers = Array.from({ length: 500 }, () =>
      unknownRecord(0x8000_0000, new Uint8Array()),
    );
    insertBefore(plan, "X86_TSC_INFO", ...strangers);
    const { bytes } = encode(plan);
    const report = verifyBytes(bytes.subarray(0, bytes.byteLength - 8), { limit: 10 });
    expect(report.findings).toHaveLength(10);
    expect(findingLines(report).at(-1)).toMatch(/^error .* found the end of the input$/);
    expect(report).toMatchObject({ verdict: "bad", errors: 1, warnings: 500 });
  });
});
