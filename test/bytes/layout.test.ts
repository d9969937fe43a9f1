// Layout tables: every integer, every rule with what it says, and the walks of one table.

import { describe, expect, test } from "bun:test";
import { Bug } from "../../lib/base/index.ts";
import {
  any,
  atLeast,
  between,
  check,
  describeFinding,
  docs,
  exactly,
  type Field,
  type Integer,
  offsetOf,
  oneOf,
  read,
  reserved,
  sizeOf,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  u8,
  write,
} from "../../lib/bytes/index.ts";

const viewOf = (hex: string): DataView =>
  new DataView(Uint8Array.fromHex(hex.replaceAll(" ", "")).buffer as ArrayBuffer);
const hexOf = (view: DataView): string => new Uint8Array(view.buffer).toHex();

describe("integers", () => {
  test.each([
    // integer, its name, a value, its bytes
    [u8, "u8", 0xfe, "fe"],
    [u16, "u16", 0xfedc, "dcfe"],
    [u16be, "u16be", 0xfedc, "fedc"],
    [u32, "u32", 0xfedc_ba98, "98badcfe"],
    [u32be, "u32be", 0xfedc_ba98, "fedcba98"],
    [u64, "u64", 0xfedc_ba98_7654_3210n, "1032547698badcfe"],
    [u64be, "u64be", 0xfedc_ba98_7654_3210n, "fedcba9876543210"],
  ] as readonly (readonly [Integer<number | bigint>, string, number | bigint, string])[])(
    "number %#",
    (integer, type, value, bytes) => {
      expect(integer.type).toBe(type);
      expect(integer.bytes * 2).toBe(bytes.length as 2);
      const view = viewOf(`00${bytes}00`); // At any byte: streams are not aligned.
      expect(integer.get(view, 1)).toBe(value);
      const written = new DataView(new ArrayBuffer(integer.bytes + 2));
      integer.set(written, 1, value);
      expect(hexOf(written)).toBe(`00${bytes}00`);
    },
  );
});

describe("rules", () => {
  test.each([
    // rule, what it expects, severity, accepted, refused
    [any(u32), "any", "warning", [0, 2 ** 32 - 1], []],
    [any(u32, "a pfn"), "a pfn", "warning", [7], []],
    [exactly(u32, 3), "0x3", "error", [3], [2, 4, 0]],
    [oneOf(u8, [4, 8]), "0x4 or 0x8", "error", [4, 8], [0, 5]],
    [oneOf(u8, [0, 1, 2], "warning"), "0x0 or 0x1 or 0x2", "warning", [0, 2], [3]],
    [reserved(u16), "0 (reserved)", "warning", [0], [1, 0x8000]],
    [reserved(u64), "0 (reserved)", "warning", [0n], [1n, 2n ** 63n]],
    [between(u32, 1, 128), "0x1 to 0x80", "error", [1, 128], [0, 129]],
    [atLeast(u32, 1), "at least 0x1", "error", [1, 2 ** 32 - 1], [0]],
  ] as const)("number %#", (rule, expected, severity, accepted, refused) => {
    const field = rule as unknown as Field<number | bigint>;
    expect({ expected: field.expected, severity: field.severity as string }).toEqual({
      expected,
      severity,
    });
    expect(accepted.map((value) => field.accepts(value))).toEqual(accepted.map(() => true));
    expect(refused.map((value) => field.accepts(value))).toEqual(refused.map(() => false));
  });
});

const LAYOUT = {
  magic: exactly(u32be, 0x41424344),
  kind: oneOf(u8, [1, 2]),
  pad: reserved(u8),
  count: any(u16),
  size: any(u64, "bytes"),
};
const GOOD = "41424344 02 00 0700 0900000000000000";
const ROW = { magic: 0x41424344, kind: 2, pad: 0, count: 7, size: 9n };

describe("one table", () => {
  test("sizes and offsets follow from the order", () => {
    expect(sizeOf(LAYOUT)).toBe(16);
    expect(sizeOf({})).toBe(0);
    const names = ["magic", "kind", "pad", "count", "size"] as const;
    expect(names.map((name) => offsetOf(LAYOUT, name))).toEqual([0, 4, 5, 6, 8]);
  });

  test("a field that it does not have is our own mistake", () => {
    expect(() => offsetOf(LAYOUT, "width" as "size")).toThrow(Bug);
  });

  test("reads and writes the same bytes", () => {
    expect(read(LAYOUT, viewOf(`ff${GOOD}`), 1)).toEqual(ROW);
    const view = new DataView(new ArrayBuffer(17));
    write(LAYOUT, view, 1, ROW);
    expect(hexOf(view)).toBe(`00${GOOD.replaceAll(" ", "")}`);
  });

  test("a check gives a finding for each field outside its rule, at its offset", () => {
    const place = { layer: "libxc", record: "HEAD", recordNumber: 7, fileOffset: 0x100 } as const;
    expect([...check(LAYOUT, viewOf(GOOD), 0, place)]).toEqual([]);
    const bad = viewOf("41424345 03 80 0700 0900000000000000");
    const findings = [...check(LAYOUT, bad, 0, place)];
    expect(findings.map((found) => `${found.severity} ${describeFinding(found)}`)).toEqual([
      "error libxc HEAD.magic at offset 0x100 (record 7): expected 0x41424344, found 0x41424345",
      "error libxc HEAD.kind at offset 0x104 (record 7): expected 0x1 or 0x2, found 0x3",
      "warning libxc HEAD.pad at offset 0x105 (record 7): expected 0 (reserved), found 0x80",
    ]);
  });

  test("documents itself", () => {
    expect(docs(LAYOUT)).toEqual([
      "| 0 | u32be | magic | 0x41424344 |",
      "| 4 | u8 | kind | 0x1 or 0x2 |",
      "| 5 | u8 | pad | 0 (reserved) |",
      "| 6 | u16 | count | any |",
      "| 8 | u64 | size | bytes |",
    ]);
  });
});
