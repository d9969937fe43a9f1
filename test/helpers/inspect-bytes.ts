// Inspects bytes in memory. Every report is checked against its schema, and against what must hold
// of any.

import { expect } from "bun:test";
import * as v from "valibot";
import { MemorySource, type Source } from "../../lib/bytes/index.ts";
import {
  type InspectOptions,
  type InspectReport,
  InspectReportSchema,
  inspectStream,
} from "../../lib/stream/inspect/index.ts";
import { encode, type StreamPlan } from "./stream-plan.ts";

const NOTHING_ELSE: InspectOptions = {
  format: undefined,
  compression: undefined,
  contents: false,
  record: undefined,
  pages: undefined,
  onProgress: () => undefined,
  onPage: () => undefined,
  onDetailPiece: () => undefined,
};

export function inspectSource(source: Source, options: Partial<InspectOptions>): InspectReport {
  const report = inspectStream(source, { ...NOTHING_ELSE, ...options });
  checkInspectReport(report);
  return report;
}

export const inspectBytes = (bytes: Uint8Array, options: Partial<InspectOptions>): InspectReport =>
  inspectSource(new MemorySource("built", bytes), options);

export const inspectPlan = (plan: StreamPlan, options: Partial<InspectOptions>): InspectReport =>
  inspectBytes(encode(plan).bytes, options);

const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);

/** What must hold of a report of any input. */
export function checkInspectReport(report: InspectReport): void {
  v.parse(InspectReportSchema, report);
  const { memory, iterations, contents, complete, stopped, records } = report;
  expect(complete).toBe(stopped === null);
  expect(sum(memory.types.map(({ sent }) => sent))).toBe(memory.sent);
  const counted = sum(report.record_types.map(({ count }) => count));
  expect(counted + report.record_types_left_off).toBeLessThanOrEqual(records);
  if (iterations.left_off === 0) {
    expect(sum(iterations.list.map(({ pages }) => pages))).toBe(memory.sent);
    expect(sum(iterations.list.map((pass) => pass.sent_before))).toBe(memory.sent_again);
  }
  if (contents !== null) {
    expect(contents.zero + contents.duplicate + contents.distinct).toBe(contents.pages);
  }
  const { map, pfns } = memory;
  if (map === null || pfns === null) return;
  const classes = [map.normal, map.page_table, map.allocated, map.hole, map.broken, map.unknown];
  expect(sum(classes.flat())).toBe(pfns);
  expect(map.bins).toBeLessThanOrEqual(1024);
  expect(map.bins * map.pfns_per_bin).toBeGreaterThan(memory.highest_pfn ?? 0);
}
