// Processes by descriptor.

import { expect, test } from "bun:test";
import { hasEnded, openPidfd, SIGNAL, signalPidfd } from "../../lib/sys/index.ts";

test("a process is watched and ended by its descriptor, and never another one", async () => {
  const child = Bun.spawn(["sleep", "1000"]);
  using fd = openPidfd(child.pid);
  expect(fd).toBeDefined();
  expect(hasEnded(fd!, 0)).toBe(false);
  expect(signalPidfd(fd!, SIGNAL.kill)).toBe(true);
  expect(hasEnded(fd!, 10_000)).toBe(true);
  await child.exited;
  expect(signalPidfd(fd!, SIGNAL.kill)).toBe(false);
  expect(openPidfd(child.pid)).toBeUndefined();
});
