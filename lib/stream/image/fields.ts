// Layout rows as JSON and back: numbers up to 32 bits as numbers, wider ones as "0x1f".

import { hex } from "../../base/index.ts";
import { type Layout, read, sizeOf, write } from "../../bytes/index.ts";
import type { Fields } from "./manifest.ts";

export function fieldsOf(layout: Layout, view: DataView, at: number): Fields {
  const row: Record<string, number | bigint> = read(layout, view, at);
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === "bigint" ? hex(value) : value,
    ]),
  );
}

/** What is wrong with fields somebody wrote. */
export interface FieldProblem {
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

/** The bytes of a row, or what is wrong with it: every field of the layout and no other. */
export function rowOf(layout: Layout, fields: Fields): Uint8Array<ArrayBuffer> | FieldProblem {
  const row: Record<string, number | bigint> = {};
  for (const [name, { bytes }] of Object.entries(layout)) {
    const value = fields[name];
    if (value === undefined) return { field: name, expected: "a value", found: "none" };
    const wide = BigInt(value);
    if (wide >= 1n << BigInt(bytes * 8)) {
      return { field: name, expected: `at most ${bytes * 8} bits`, found: hex(wide) };
    }
    row[name] = bytes === 8 ? wide : Number(wide);
  }
  const stranger = Object.keys(fields).find((name) => layout[name] === undefined);
  if (stranger !== undefined) {
    const known = Object.keys(layout).join(", ");
    return {
      field: stranger,
      expected: known === "" ? "no fields" : known,
      found: "another field",
    };
  }
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, row as Parameters<typeof write>[3]);
  return bytes;
}
