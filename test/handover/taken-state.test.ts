// What an heir keeps of a takeover: while the old program may come back, whose mark is where; after
// that nothing, as it lives for years with other clients.

import { expect, test } from "bun:test";
import { NO_REPORT } from "../../lib/handover/index.ts";
import type { Descriptor, Final } from "../../lib/handover/final-file.ts";
import { SharedPage } from "../../lib/handover/shared-page.ts";
import { TakenState } from "../../lib/handover/taken-state.ts";
import { createMemfd, fileIdentityOf } from "../../lib/sys/index.ts";

test("once the old program has left, what was taken is the heir's alone", () => {
  const keys = ["arena", "client 1", "client 2"];
  const page = SharedPage.create(keys.length);
  const taken = new TakenState();
  const fds = keys.map((key) => createMemfd(key));
  keys.forEach((key, index) => taken.add(key, fds[index]!)); // As many of both.
  const descriptors = keys.map((key, index): Descriptor => {
    const fd = fds[index]!; // As many of both.
    return [key, fileIdentityOf(fd.number), fd.number];
  });
  const final: Final = {
    head: {
      kind: "test",
      settings: "",
      process_name: "bun",
      descriptors,
      gone: [],
      marks: keys.length,
      digest: "",
      paused_at_ms: 0,
      pause_limit_ms: 0,
      report: { ...NO_REPORT, counts: {}, phases_ms: {} },
    },
    difference: new Uint8Array(0),
  };
  taken.take(final, false);
  taken.page = page;
  const { touch } = taken.adoption(final, false);
  expect(touch("client 2", true)).toBe(true);
  expect(keys.map((_, index) => page.isTouched(index))).toEqual([false, false, true]);
  taken.endShared();
  expect(touch("client 1", true)).toBe(false);
  expect(taken.descriptors.size).toBe(0);
  // It has closed none of them.
  for (const fd of fds) expect(fileIdentityOf(fd.number)).not.toBe("");
  for (const fd of fds) fd[Symbol.dispose]();
});
