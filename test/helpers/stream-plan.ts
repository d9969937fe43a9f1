// A stream as a list of records that a test may edit before it is encoded: change a field, claim
// another length, drop, double or move a record. Encoding it tells where every record begins.
//
//   const plan = pvPlan({ ... });
//   setField(recordNamed(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field: "count", value: 0 });
//   const { bytes, starts } = encode(plan);

import { type Layer, type Layout, offsetOf, type Row } from "../../lib/bytes/index.ts";
import { sizeOf, u32, u64, write } from "../../lib/bytes/index.ts";

/**
 * What stands around a body. bare: nothing. record: u32 type, u32 length, zeros up to a multiple of
 * 8 behind it. suspend: u64 type, u64 length. chunk: i32 marker, no length.
 */
export type Framing = "bare" | "record" | "suspend" | "chunk";

export interface PlanRecord {
  readonly layer: Layer;
  readonly name: string;
  readonly framing: Framing;
  /** The type or marker, where the framing has one. */
  type: number;
  body: Uint8Array;
  /** The length that is claimed; that of the body where undefined. */
  length: number | bigint | undefined;
  /** What stands behind the body; zeros where undefined and the framing has padding. */
  padding: Uint8Array | undefined;
}

export interface StreamPlan {
  records: PlanRecord[];
}

export interface Encoded {
  readonly bytes: Uint8Array;
  /** By index of the record: where it begins, and behind the last one the end. */
  readonly starts: readonly number[];
  /** Where its body begins. */
  readonly bodies: readonly number[];
}

// ---- Making -----------------------------------------------------------------------------------

const HEAD_BYTES = { bare: 0, record: 8, suspend: 16, chunk: 4 } as const;

export function planRecord(
  fields: Pick<PlanRecord, "layer" | "name" | "framing" | "type">,
  ...parts: readonly Uint8Array[]
): PlanRecord {
  return { ...fields, body: join(...parts), length: undefined, padding: undefined };
}

export const bare = (layer: Layer, name: string, ...parts: readonly Uint8Array[]): PlanRecord =>
  planRecord({ layer, name, framing: "bare", type: 0 }, ...parts);

/** The bytes of one row of a layout. */
export function row<L extends Layout>(layout: L, values: Row<L>): Uint8Array {
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, values);
  return bytes;
}

/** Small numbers as little-endian words of 4 or 8 bytes. */
export function words(bytesPerWord: 4 | 8, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * bytesPerWord);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) {
    if (bytesPerWord === 4) u32.set(view, index * 4, value >>> 0);
    else u64.set(view, index * 8, BigInt.asUintN(64, BigInt(value)));
  }
  return bytes;
}

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** `count` bytes of one value. */
export const filled = (count: number, value: number): Uint8Array =>
  new Uint8Array(count).fill(value);

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

// ---- Encoding ---------------------------------------------------------------------------------

const padBytes = ({ framing, body, padding }: PlanRecord): number =>
  padding?.byteLength ?? (framing === "record" ? (8 - (body.byteLength % 8)) % 8 : 0);

/** The stream's bytes, and where everything stands in them. */
export function encode(plan: StreamPlan): Encoded {
  const { records } = plan;
  const starts: number[] = [];
  const bodies: number[] = [];
  let bytesTotal = 0;
  for (const record of records) {
    starts.push(bytesTotal);
    bodies.push(bytesTotal + HEAD_BYTES[record.framing]);
    bytesTotal += HEAD_BYTES[record.framing] + record.body.byteLength + padBytes(record);
  }
  starts.push(bytesTotal);
  const bytes = new Uint8Array(bytesTotal);
  const view = new DataView(bytes.buffer);
  for (const [index, record] of records.entries()) {
    const at = starts[index]!;
    const bodyAt = bodies[index]!;
    writeHead(record, view, at);
    bytes.set(record.body, bodyAt);
    if (record.padding !== undefined) bytes.set(record.padding, bodyAt + record.body.byteLength);
  }
  return { bytes, starts, bodies };
}

function writeHead(record: PlanRecord, view: DataView, at: number): void {
  const length = record.length ?? record.body.byteLength;
  if (record.framing === "record") {
    u32.set(view, at, record.type);
    u32.set(view, at + 4, Number(length));
  } else if (record.framing === "suspend") {
    u64.set(view, at, BigInt(record.type));
    u64.set(view, at + 8, BigInt.asUintN(64, BigInt(length)));
  } else if (record.framing === "chunk") {
    u32.set(view, at, record.type >>> 0);
  }
}

// ---- Finding and damaging -----------------------------------------------------------------------

/** Index of the record of that name, counted from 0 among those of its name. */
export function indexOf(plan: StreamPlan, name: string, nth: number): number {
  let left = nth;
  const index = plan.records.findIndex((record) => record.name === name && left-- === 0);
  if (index === -1) throw new Error(`The plan has no record ${nth} named ${name}`);
  return index;
}

/** The first record of that name. */
export const recordNamed = (plan: StreamPlan, name: string): PlanRecord =>
  plan.records[indexOf(plan, name, 0)]!;

/** A plan whose records can be edited without changing those of `plan`. Bodies are shared. */
export const copyOf = (plan: StreamPlan): StreamPlan => ({
  records: plan.records.map((record) => ({ ...record })),
});

export interface FieldChange {
  readonly field: string;
  readonly value: number | bigint;
  /** Where the layout begins in the body; at its start where absent. */
  readonly at?: number;
}

/** Changes one field of a body, which is copied first. */
export function setField(
  record: PlanRecord,
  layout: Layout,
  { field, value, at = 0 }: FieldChange,
): void {
  record.body = record.body.slice();
  const { buffer, byteOffset, byteLength } = record.body;
  const view = new DataView(buffer, byteOffset, byteLength);
  const set = layout[field]?.set as (view: DataView, at: number, value: number | bigint) => void;
  set(view, at + offsetOf(layout, field), value);
}

/** Makes a body shorter, or longer by zeros. */
export function resize(record: PlanRecord, bytes: number): void {
  const body = new Uint8Array(bytes);
  body.set(record.body.subarray(0, bytes));
  record.body = body;
}

/** Overwrites bytes of a body, which is copied first. */
export function overwrite(record: PlanRecord, at: number, bytes: Uint8Array): void {
  record.body = record.body.slice();
  record.body.set(bytes, at);
}

export function drop(plan: StreamPlan, name: string): void {
  plan.records.splice(indexOf(plan, name, 0), 1);
}

export function insertBefore(
  plan: StreamPlan,
  name: string,
  ...records: readonly PlanRecord[]
): void {
  plan.records.splice(indexOf(plan, name, 0), 0, ...records);
}

export function insertAfter(
  plan: StreamPlan,
  name: string,
  ...records: readonly PlanRecord[]
): void {
  plan.records.splice(indexOf(plan, name, 0) + 1, 0, ...records);
}

/** Moves the first record called `name` to just behind the first one called `behind`. */
export function moveBehind(plan: StreamPlan, name: string, behind: string): void {
  const [record] = plan.records.splice(indexOf(plan, name, 0), 1);
  insertAfter(plan, behind, record!); // indexOf has found it.
}
