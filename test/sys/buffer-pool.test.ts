// Buffers lent and given back.

import { expect, test } from "bun:test";
import { BufferPool, copyMemory } from "../../lib/sys/index.ts";

const KIB = 1024;

test.each([
  // asked     given
  [1, 2 * KIB],
  [2 * KIB, 2 * KIB],
  [2 * KIB + 1, 4 * KIB],
  [8 * KIB, 8 * KIB],
  [8 * KIB + 1, 16 * KIB],
  [100 * KIB, 128 * KIB],
  [1024 * KIB, 1024 * KIB],
])("for %d bytes there are %d", (asked, given) => {
  const pool = new BufferPool(2048 * KIB);
  const buffer = pool.take(asked)!;
  expect(buffer.bytes.length).toBe(given);
  buffer.bytes[given - 1] = 9;
  copyMemory(buffer.address, buffer.address + given - 1, 1);
  expect(buffer.view.getUint8(0)).toBe(9);
  pool.give(buffer);
});

test("no more is lent than it may, until some comes back", () => {
  const pool = new BufferPool(64 * KIB);
  const lent = Array.from({ length: 8 }, () => pool.take(8 * KIB)!);
  expect(pool.take(1)).toBeUndefined();
  pool.give(lent[3]!);
  expect(pool.take(8 * KIB)).toBe(lent[3]!);
});

test("small ones are there again at once, however many were wanted", () => {
  const pool = new BufferPool(64 * 1024 * KIB);
  const lent = Array.from({ length: 1000 }, () => pool.take(100)!);
  expect(new Set(lent.map(({ address }) => address)).size).toBe(1000);
  for (const buffer of lent) pool.give(buffer);
  const again = Array.from({ length: 1000 }, () => pool.take(100)!);
  expect(new Set(again)).toEqual(new Set(lent));
});

test("large ones go back to the kernel, and views of them show nothing any more", () => {
  const pool = new BufferPool(64 * 1024 * KIB);
  const buffer = pool.take(16 * 1024 * KIB)!;
  pool.give(buffer);
  expect(buffer.bytes.length).toBe(0);
});
