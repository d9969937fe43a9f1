// Rows of damage: what is done to a valid stream. Every line that verifying it must give stands in
// a golden file. Offsets in the lines are relative to the record they point into: "PAGE_DATA+0x8",
// "PAGE_DATA#1+0x8" for the second one of that name.

import { expect, test } from "bun:test";
import type { Format } from "../../lib/stream/detect.ts";
import type { VerifyReport } from "../../lib/stream/verify/index.ts";
import type { GoldenFile } from "./golden.ts";
import { copyOf, encode, type Encoded, type StreamPlan } from "./stream-plan.ts";
import { verifyBytes } from "./verify-bytes.ts";

/** Title, and what is done to the plan. */
export type DamageRow = readonly [string, (plan: StreamPlan) => void];

export interface DamageOptions {
  readonly golden: GoldenFile;
  readonly base: () => StreamPlan;
  /** Forced, where the damage hides what the stream is. */
  readonly format?: Format;
}

/** One test a row; `what` is damaged. */
export function testDamage(
  what: string,
  { golden, base, format }: DamageOptions,
  rows: readonly DamageRow[],
): void {
  for (const [title, edit] of rows) {
    const name = `${what}: ${title}`;
    golden.announce(name);
    test(name, () => {
      const plan = copyOf(base());
      edit(plan);
      const encoded = encode(plan);
      const report = verifyBytes(encoded.bytes, format === undefined ? {} : { format });
      const lines = relativeLines(report, plan, encoded);
      golden.expectLines(name, lines);
      const errors = lines.filter((line) => line.startsWith("error")).length;
      const warnings = lines.length - errors;
      expect({ errors: report.errors, warnings: report.warnings }).toEqual({ errors, warnings });
      expect(report.verdict === "good").toBe(errors === 0);
    });
  }
}

/**
 * `error libxc PAGE_DATA.count at PAGE_DATA+0x8: expected at least 0x1, found 0x0`; "warning!" says
 * that Xen's own verifier refuses the stream for it.
 */
export function relativeLines(
  { findings }: VerifyReport,
  plan: StreamPlan,
  encoded: Encoded,
): string[] {
  return findings.map(({ severity, strict, layer, record, field, offset, expected, found }) => {
    const mark = severity === "warning" && strict ? "!" : "";
    const where = `${layer} ${record}.${field} at ${placeOf(offset, plan, encoded)}`;
    return `${severity}${mark} ${where}: expected ${expected}, found ${found}`;
  });
}

function placeOf(offset: number, { records }: StreamPlan, { starts }: Encoded): string {
  const index = starts.findLastIndex((start) => start <= offset);
  const record = records[index];
  if (record === undefined) return `end+0x${(offset - starts.at(-1)!).toString(16)}`;
  const nth = records.slice(0, index).filter(({ name }) => name === record.name).length;
  const number = nth === 0 ? "" : `#${nth}`;
  return `${record.name}${number}+0x${(offset - starts[index]!).toString(16)}`;
}
