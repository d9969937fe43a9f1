// Where a walk gives up: lengths that no reader accepts, and more optional records than any writer
// has. The rows of damaged headers and records stand in test/stream/verify.

import { describe, expect, test } from "bun:test";
import { LIBXC_RECORD_BYTES_MAX } from "../../../lib/stream/libxc/index.ts";
import { libxcRecords, PV64 } from "../../helpers/stream-builder.ts";
import {
  encode,
  insertBefore,
  join,
  recordNamed,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { unknownRecord } from "../../helpers/stream-records.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

const base = (): StreamPlan => ({ records: libxcRecords(PV64) });
const OPTIONAL_MAX = 65536;
const OPTIONAL = 0x8000_0001;

describe("a length of a libxc record", () => {
  test.each([
    // length            what is said of it
    [LIBXC_RECORD_BYTES_MAX, "found the end of the input after"],
    [LIBXC_RECORD_BYTES_MAX + 1, "body_length: expected at most 0x8000000, found 0x8000001"],
    [2 ** 31, "body_length: expected at most 0x8000000, found 0x80000000"],
    [2 ** 32 - 8, "body_length: expected at most 0x8000000, found 0xfffffff8"],
    [2 ** 32 - 1, "body_length: expected at most 0x8000000, found 0xffffffff"],
  ])("%d", (length, said) => {
    for (const name of ["PAGE_DATA", "SHARED_INFO", "X86_TSC_INFO", "STATIC_DATA_END"]) {
      const plan = base();
      recordNamed(plan, name).length = length;
      const report = verifyBytes(encode(plan).bytes, {});
      const last = findingLines(report).at(-1) ?? "nothing";
      expect(last.replace(/ at 0x[0-9a-f]+/, "")).toContain(said);
      expect(report.verdict).toBe("bad");
    }
  });
});

describe("unknown optional records", () => {
  /** A stream with so many of them. */
  function withOptional(count: number): Uint8Array {
    const plan = base();
    insertBefore(plan, "X86_TSC_INFO", unknownRecord(OPTIONAL, new Uint8Array()));
    const { bytes, starts } = encode(plan);
    const index = plan.records.findIndex(({ name }) => name === "unknown");
    const [start, end] = [starts[index]!, starts[index + 1]!];
    const one = bytes.slice(start, end);
    const many = new Uint8Array(one.byteLength * count);
    for (let at = 0; at < many.byteLength; at += one.byteLength) many.set(one, at);
    return join(bytes.subarray(0, start), many, bytes.subarray(end));
  }

  test("as many as are allowed are warnings, and the stream is good", () => {
    const report = verifyBytes(withOptional(OPTIONAL_MAX), { limit: 100 });
    const { verdict, errors, warnings, findings } = report;
    expect({ verdict, errors, warnings }).toEqual({
      verdict: "good",
      errors: 0,
      warnings: OPTIONAL_MAX,
    });
    expect(findings).toHaveLength(100);
  });

  test("one more ends the walk, and the error is kept behind any number of warnings", () => {
    const report = verifyBytes(withOptional(OPTIONAL_MAX + 1), { limit: 100 });
    expect(report).toMatchObject({ verdict: "bad", errors: 1 });
    expect(report.findings).toHaveLength(100);
    expect(findingLines(report).at(-1)).toMatch(
      /^error libxc type 0x80000001\.type at .*: expected at most 65536 .*, found one more$/,
    );
  });
});
