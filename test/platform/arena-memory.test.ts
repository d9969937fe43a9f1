// bun:ffi: an address taken from a small typed array goes stale when the engine optimises the code
// that uses it. Memory of the arena is addressed for good; this is what everything in lib/sys rests
// on.

import { expect, test } from "bun:test";
import { pointer, reserve } from "../../lib/sys/arena.ts";
import { libc } from "../../lib/sys/libc.ts";

const CLOCK_MONOTONIC = 1;
const ROUNDS = 100_000;

test("optimised code sees what the kernel writes to the arena, also after a collection", () => {
  const time = reserve(16);
  let stale = 0;
  for (let round = 0; round < ROUNDS; round++) {
    time.view.setUint32(8, 0xffff_ffff, true); // No clock has that many nanoseconds.
    libc.clock_gettime(CLOCK_MONOTONIC, pointer(time.address));
    if (time.view.getUint32(8, true) === 0xffff_ffff) stale += 1;
    if (round % (ROUNDS / 4) === 0) Bun.gc(true);
  }
  expect(stale).toBe(0);
});
