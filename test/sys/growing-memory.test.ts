// Shared memory that grows in place, and what of it a later program accepts.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  createGrowingMemory,
  createMemfd,
  duplicate,
  mapGrowingMemory,
  resizeFile,
} from "../../lib/sys/index.ts";
import { messageOf } from "../helpers/system-error.ts";

const MIB = 1024 * 1024;

test("it grows without moving, and older views still show it", () => {
  using memory = createGrowingMemory("growing", 5000);
  expect(memory.buffer.byteLength).toBe(8192);
  const old = new Uint8Array(memory.buffer);
  const { address } = memory;
  const grown = new Uint8Array(memory.grow(64 * MIB));
  expect(memory.address).toBe(address);
  expect(grown.length).toBe(64 * MIB);
  expect(grown[63 * MIB]).toBe(0);
  grown[4999] = 42;
  expect(old[4999]).toBe(42);
  expect(memory.grow(100).byteLength).toBe(64 * MIB);
});

test("another mapping of its descriptor is the same memory", () => {
  using first = createGrowingMemory("shared", 4096);
  new Uint8Array(first.buffer)[7] = 7;
  using second = mapGrowingMemory(duplicate(first.fd.number, "copy"));
  expect(new Uint8Array(second.buffer)[7]).toBe(7);
});

/** Pages of the memory that this process has at hand. */
const residentKib = (): number =>
  Number(/^RssShmem:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]);

test("what was populated is at hand, as much of it as there is", () => {
  using first = createGrowingMemory("populated", 4 * MIB);
  new Uint8Array(first.buffer).fill(1);
  using second = mapGrowingMemory(duplicate(first.fd.number, "copy"));
  const before = residentKib();
  second.populate(64 * MIB);
  expect(residentKib() - before).toBe(4 * 1024);
});

test("nobody sees it after its end", () => {
  const memory = createGrowingMemory("short", 4096);
  const [before, after] = [new Uint8Array(memory.buffer), new Uint8Array(memory.grow(9000))];
  memory[Symbol.dispose]();
  expect([before.length, after.length]).toEqual([0, 0]);
});

test("its end is refused before it is reached", () => {
  using memory = createGrowingMemory("huge", 4096);
  expect(messageOf(() => memory.grow(1024 * MIB + 1))).toContain("wanted at most 1073741824");
});

test("memory that its owner could cut short is not adopted", () => {
  using unsealed = createMemfd("unsealed");
  resizeFile(unsealed, 4096);
  expect(messageOf(() => mapGrowingMemory(unsealed))).toContain("sealed against shrinking");
});
