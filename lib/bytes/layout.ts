// Layout tables: the one place where a format's field names, widths, order and rules stand. Reader,
// writer, verifier and documentation are four walks of the same table (read, write, check, docs).
// Objects are for cold records: hot paths take offsets from the table at load (offsetOf).

import { assert, hex } from "../base/index.ts";
import type { Finding, Place, Severity } from "./finding.ts";

export interface Integer<T extends number | bigint> {
  readonly bytes: 1 | 2 | 4 | 8;
  /** "u32", "u32be": as the documentation prints it. */
  readonly type: string;
  get(view: DataView, at: number): T;
  set(view: DataView, at: number, value: T): void;
}

export interface Field<T extends number | bigint = number | bigint> extends Integer<T> {
  /** What a reader wants, for messages and documentation: "0x2 or 0x3". */
  readonly expected: string;
  /** What a value outside `expected` means. */
  readonly severity: Severity;
  accepts(value: T): boolean;
  /**
   * Of a value outside `expected` that a reader takes: whether Xen's verify-stream-v2 refuses it.
   * It does where this is absent.
   */
  isStrict?(value: T): boolean;
}

export type Layout = Readonly<Record<string, Field<number> | Field<bigint>>>;
export type Row<L extends Layout> = {
  -readonly [K in keyof L]: L[K] extends Field<infer T> ? T : never;
};

// ---- Integers -------------------------------------------------------------------------------

const integer = (bytes: 1 | 2 | 4, little: boolean): Integer<number> => {
  const type = `u${bytes * 8}${little || bytes === 1 ? "" : "be"}`;
  if (bytes === 1) {
    return { bytes, type, get: (v, at) => v.getUint8(at), set: (v, at, n) => v.setUint8(at, n) };
  }
  if (bytes === 2) {
    const get = (view: DataView, at: number) => view.getUint16(at, little);
    return { bytes, type, get, set: (v, at, n) => v.setUint16(at, n, little) };
  }
  const get = (view: DataView, at: number) => view.getUint32(at, little);
  return { bytes, type, get, set: (v, at, n) => v.setUint32(at, n, little) };
};
const wide = (little: boolean): Integer<bigint> => ({
  bytes: 8,
  type: little ? "u64" : "u64be",
  get: (view, at) => view.getBigUint64(at, little),
  set: (view, at, value) => view.setBigUint64(at, value, little),
});
export const u8 = integer(1, true);
export const u16 = integer(2, true);
export const u32 = integer(4, true);
export const u64 = wide(true);
export const u16be = integer(2, false);
export const u32be = integer(4, false);
export const u64be = wide(false);

// ---- Rules ----------------------------------------------------------------------------------

const field = <T extends number | bigint>(
  integerType: Integer<T>,
  rule: Pick<Field<T>, "expected" | "severity" | "accepts">,
): Field<T> => ({ ...integerType, ...rule });

const acceptsAll = (): boolean => true;

/** Any value. */
export const any = <T extends number | bigint>(type: Integer<T>, expected = "any"): Field<T> =>
  field(type, { expected, severity: "warning", accepts: acceptsAll });

/** One value; a reader refuses any other. */
export const exactly = <T extends number | bigint>(type: Integer<T>, value: T): Field<T> =>
  field(type, { expected: hex(value), severity: "error", accepts: (v) => v === value });

/** One of a few values; a reader refuses any other. */
export const oneOf = <T extends number | bigint>(
  type: Integer<T>,
  values: readonly T[],
  severity: Severity = "error",
): Field<T> => {
  const expected = values.map(hex).join(" or ");
  return field(type, { expected, severity, accepts: (value) => values.includes(value) });
};

/** Written as zero, ignored on reading: another value is a warning. */
export const reserved = <T extends number | bigint>(type: Integer<T>): Field<T> =>
  field(type, { expected: "0 (reserved)", severity: "warning", accepts: (v) => v == 0 });

/** A rule that Xen's verify-stream-v2 does not look at. */
export const lax = <T extends number | bigint>(rule: Field<T>): Field<T> => ({
  ...rule,
  isStrict: () => false,
});

/** A number with bounds that a reader enforces. */
export const between = (type: Integer<number>, low: number, high: number): Field<number> => {
  const expected = `${hex(low)} to ${hex(high)}`;
  return field(type, { expected, severity: "error", accepts: (v) => v >= low && v <= high });
};

export const atLeast = (type: Integer<number>, low: number): Field<number> =>
  field(type, { expected: `at least ${hex(low)}`, severity: "error", accepts: (v) => v >= low });

// ---- Four walks of one table ----------------------------------------------------------------

interface Slot {
  readonly name: string;
  readonly field: Field<number | bigint>;
  readonly at: number;
}

interface Table {
  readonly slots: readonly Slot[];
  readonly bytes: number;
}

const tableOf = new WeakMap<Layout, Table>();

function makeTable(layout: Layout): Table {
  const slots: Slot[] = [];
  let at = 0;
  for (const name in layout) {
    const entry = layout[name] as Field<number | bigint>;
    slots.push({ name, field: entry, at });
    at += entry.bytes;
  }
  const table = { slots, bytes: at };
  tableOf.set(layout, table);
  return table;
}

const slots = (layout: Layout): readonly Slot[] => (tableOf.get(layout) ?? makeTable(layout)).slots;

/** Size in bytes of the whole layout; fields stand without gaps. */
export const sizeOf = (layout: Layout): number => (tableOf.get(layout) ?? makeTable(layout)).bytes;

/** Whether there is a value that `check` would find anything about. */
export const hasRules = (layout: Layout): boolean =>
  slots(layout).some(({ field: entry }) => entry.accepts !== acceptsAll);

/** Offset in bytes of one field, for hot paths. */
export function offsetOf<L extends Layout>(layout: L, name: keyof L & string): number {
  const slot = slots(layout).find((candidate) => candidate.name === name);
  assert(slot, `the layout has a field "${name}"`);
  return slot.at;
}

/** All fields as one object. The bytes must be there: the caller has taken them from its source. */
export const read = <L extends Layout>(layout: L, view: DataView, at: number): Row<L> =>
  Object.fromEntries(slots(layout).map((s) => [s.name, s.field.get(view, at + s.at)])) as Row<L>;

/** Writes every field; a value the table refuses is our bug. */
export function write<L extends Layout>(layout: L, view: DataView, at: number, row: Row<L>): void {
  for (const slot of slots(layout)) {
    slot.field.set(view, at + slot.at, row[slot.name]!);
  }
}

/** A finding for each field outside its rule. A reader throws the first; the verifier keeps all. */
export function* check(layout: Layout, view: DataView, at: number, place: Place) {
  for (const { name, field: entry, at: fieldAt } of slots(layout)) {
    const value = entry.get(view, at + fieldAt);
    if (entry.accepts(value)) continue;
    const finding: Finding = {
      ...place,
      severity: entry.severity,
      strict: entry.severity === "error" || (entry.isStrict?.(value) ?? true),
      field: name,
      fileOffset: place.fileOffset + fieldAt,
      expected: entry.expected,
      found: hex(value),
    };
    yield finding;
  }
}

/** Markdown rows `| offset | type | field | expected |`. */
export const docs = (layout: Layout): string[] =>
  slots(layout).map((s) => `| ${s.at} | ${s.field.type} | ${s.name} | ${s.field.expected} |`);
