// bun:ffi: errno is read by a statement of ours, after the call has returned into the runtime.
// Nothing of the runtime (a collection, a compilation, its other threads) changes it in between.

import { expect, test } from "bun:test";
import { EBADF } from "../../lib/sys/errno.ts";
import { lastErrno, libc } from "../../lib/sys/libc.ts";

const ROUNDS = 300_000;
const FD_NEVER_OPEN = 0x7fff_fff0;

test("errno in the statement after a failed call is always that call's", () => {
  let wrong = 0;
  let garbage: unknown[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const result = libc.close(FD_NEVER_OPEN);
    const errno = result === -1 ? lastErrno() : 0;
    if (errno !== EBADF) wrong += 1;
    garbage.push({ round }); // Collections come by themselves.
    if (garbage.length > 10_000) garbage = [];
  }
  expect(wrong).toBe(0);
});

test("a successful call leaves the errno of an earlier one: it tells nothing", () => {
  libc.close(FD_NEVER_OPEN);
  expect(libc.getpid()).toBe(process.pid);
  expect(lastErrno()).toBe(EBADF);
});
