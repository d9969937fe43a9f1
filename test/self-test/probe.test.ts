// The list of probes: results, failures, and nothing left behind.

import { expect, test } from "bun:test";
import { SystemError } from "../../lib/base/index.ts";
import { KERNEL_PROBES, runProbes } from "../../lib/self-test/index.ts";
import { expect as expectThat, failureOf } from "../../lib/self-test/probe.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { messageOf } from "../helpers/system-error.ts";

test("a failing probe is a result with its message, and the next one still runs", async () => {
  const failure = { call: "mmap", errno: 12, code: "ENOMEM", object: "x" };
  const results = await runProbes([
    { group: "kernel", name: "one", run: () => "fine" },
    {
      group: "kernel",
      name: "two",
      run: () => {
        throw new SystemError("Cannot map x", failure);
      },
    },
    { group: "process", name: "three", run: () => Promise.reject(new Error("late")) },
    { group: "stream", name: "four", run: () => Promise.resolve("fine too") },
  ]);
  expect(results.map(({ name, passed, detail }) => [name, passed, detail])).toEqual([
    ["one", true, "fine"],
    ["two", false, "Cannot map x: mmap on x failed with ENOMEM (errno 12)"],
    ["three", false, "late"],
    ["four", true, "fine too"],
  ]);
});

test("the probes pass here, and leave no descriptor and no signal handler behind", async () => {
  await runProbes(KERNEL_PROBES); // Once before: the runtime opens descriptors of its own.
  const descriptors = openDescriptors();
  const listeners = process.listenerCount("SIGALRM");
  const results = await runProbes(KERNEL_PROBES);
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
  expect(openedSince(descriptors)).toEqual([]);
  expect(process.listenerCount("SIGALRM")).toBe(listeners);
});

test("what is not as wanted says both", () => {
  expect(messageOf(() => expectThat("seals", { wanted: 15, found: undefined }))).toBe(
    "seals: wanted 15, found undefined",
  );
  expect(failureOf(() => undefined)).toBe("none");
});
