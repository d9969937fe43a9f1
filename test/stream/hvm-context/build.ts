// Builds HVM contexts for tests, entry by entry, from the layout tables.

import { offsetOf, write } from "../../../lib/bytes/index.ts";
import { CPU, DESCRIPTOR, FPU_REGS_BYTES, HEADER } from "../../../lib/stream/hvm-context/index.ts";
import { TYPES } from "../../../lib/stream/hvm-context/index.ts";

export interface EntrySpec {
  readonly name: string;
  readonly instance?: number;
  /** The body; as Xen would save it where absent. */
  readonly body?: Uint8Array;
  /** The length that the descriptor claims; that of the body where absent. */
  readonly length?: number;
  /** The typecode; that of the name where absent. */
  readonly typecode?: number;
}

/** A CPU body that Xen would load. */
export function cpuBody(bytes: number): Uint8Array {
  const body = new Uint8Array(bytes);
  const cr0At = FPU_REGS_BYTES + offsetOf(CPU, "cr0");
  if (bytes > cr0At) body[cr0At] = 0x11; // ET and PE.
  return body;
}

export function msrBody(count: number, entries: number): Uint8Array {
  const body = new Uint8Array(8 + 16 * entries);
  new DataView(body.buffer).setUint32(0, count, true);
  return body;
}

export function headerBody(change: Partial<{ magic: number; version: number }>): Uint8Array {
  const body = new Uint8Array(24);
  const row = { magic: 0x54381286, version: 1, changeset: 2n ** 64n - 1n, cpuid: 0x306f2 };
  write(HEADER, new DataView(body.buffer), 0, { ...row, gtsc_khz: 2_000_000, ...change });
  return body;
}

export function bodyOf(name: string): Uint8Array {
  if (name === "HEADER") return headerBody({});
  if (name === "CPU") return cpuBody(1032);
  if (name === "CPU_MSR") return msrBody(2, 2);
  const size = TYPES.find((row) => row.name === name)?.size;
  return new Uint8Array(size !== undefined && "bytes" in size ? size.bytes : 0);
}

/** One entry a row: "CPU", "CPU 1", or an EntrySpec. */
export function context(rows: readonly (string | EntrySpec)[]): Uint8Array {
  return Buffer.concat(rows.map((row) => entry(typeof row === "string" ? parseRow(row) : row)));
}

function parseRow(row: string): EntrySpec {
  const [name, instance] = row.split(" ");
  return { name: name!, instance: Number(instance ?? 0) };
}

function entry(spec: EntrySpec): Uint8Array {
  const body = spec.body ?? bodyOf(spec.name);
  const typecode = spec.typecode ?? TYPES.find((row) => row.name === spec.name)!.typecode;
  const bytes = new Uint8Array(8 + body.length);
  const row = { typecode, instance: spec.instance ?? 0, length: spec.length ?? body.length };
  write(DESCRIPTOR, new DataView(bytes.buffer), 0, row);
  bytes.set(body, 8);
  return bytes;
}

/** A CPU body with one field set. */
export function cpuWith(field: keyof typeof CPU, value: bigint | number): Uint8Array {
  const body = cpuBody(1032);
  const set = CPU[field].set as (view: DataView, at: number, value: bigint | number) => void;
  set(new DataView(body.buffer), FPU_REGS_BYTES + offsetOf(CPU, field), value);
  return body;
}
