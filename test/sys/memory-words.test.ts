// Addresses and argument vectors in the arena.

import { expect, test } from "bun:test";
import { reserve } from "../../lib/sys/index.ts";
import { setWord, storeStrings, stringsBytes } from "../../lib/sys/memory-words.ts";
import { messageOf } from "../helpers/system-error.ts";

test.each([
  [0, 0n],
  [0xffff_ffff, 0xffff_ffffn],
  [2 ** 32, 0x1_0000_0000n],
  [Number.MAX_SAFE_INTEGER, 0x1f_ffff_ffff_ffffn],
])("%d is stored as one 64-bit word", (value, expected) => {
  const view = new DataView(new ArrayBuffer(8));
  setWord(view, 0, value);
  expect(view.getBigUint64(0, true)).toBe(expected);
});

test("an array of C strings is addresses, a null, then the strings with their NULs", () => {
  const region = reserve(64);
  const texts = ["ab", "", "é"];
  expect(stringsBytes(texts)).toBe(4 * 8 + 3 + 1 + 3);
  expect(storeStrings(region, 8, texts)).toBe(48);
  const addresses = [8, 16, 24, 32].map((at) => Number(region.view.getBigUint64(at, true)));
  expect(addresses).toEqual([region.address + 40, region.address + 43, region.address + 44, 0]);
  expect(Buffer.from(region.bytes.subarray(40, 47)).toString()).toBe("ab\0\0é\0");
});

test.each([
  [["a\0b"], "Assertion failed: a C string has no NUL inside"],
  [["x".repeat(64)], "Assertion failed: the strings fit the region"],
])("strings that cannot be C strings are our bug", (texts, message) => {
  expect(messageOf(() => storeStrings(reserve(64), 0, texts))).toBe(message);
});
