// Newer kernel features, probed here and under a sandbox that hides them.

import { expect, test } from "bun:test";
import { release } from "node:os";
import { kernelFeatures, libcVersion } from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";

test("each feature is present or names the errno, and trying it leaves no descriptor", () => {
  const before = openDescriptors();
  const features = kernelFeatures();
  expect(openedSince(before)).toEqual([]);
  const [major = 0, minor = 0] = release().split(".").map(Number);
  for (const { since, absence } of features) {
    const [wantedMajor = 0, wantedMinor = 0] = since.split(".").map(Number);
    const isOld = major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
    if (isOld) expect(absence).toBeOneOf(["ENOSYS", "EINVAL"]);
  }
  expect(features.map(({ name }) => name)).toEqual([
    "madv_populate_read",
    "pidfd_open",
    "close_range",
  ]);
});

test("the C library has a name", () => {
  expect(libcVersion()).toMatch(/^(glibc \d+\.\d+.*|musl)$/);
});
