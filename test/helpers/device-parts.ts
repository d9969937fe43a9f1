// Finds the real vhost-user programs of Debian 13, unpacked by .ci/fetch-device-parts: in the
// folder $AGENT_TEST_DEVICE_PARTS, or in the cache where .ci/run puts them. They run by their own
// loader. A test that needs them and does not find them counts as skipped and says why; in CI that
// is a failure.

import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
const FOLDER = process.env["AGENT_TEST_DEVICE_PARTS"] ?? join(CACHE, "agent-ci/device-parts-2");
const ROOT = join(FOLDER, "system");
const LIBRARIES = join(ROOT, "usr/lib/x86_64-linux-gnu");

const PROGRAMS = {
  passt: "system/usr/bin/passt",
  /** Of Debian's testing: a later release. */
  "passt-newer": "newer/usr/bin/passt",
  "passt-repair": "system/usr/bin/passt-repair",
  virtiofsd: "system/usr/libexec/virtiofsd",
  qemu: "system/usr/bin/qemu-system-x86_64",
} as const;
export type DeviceProgram = keyof typeof PROGRAMS;

export const hasDeviceParts = (): boolean => existsSync(FOLDER);

/** A test's title, with the reason where it is skipped. */
export const deviceTitle = (title: string): string =>
  hasDeviceParts() ? title : `${title} (skipped: no ${FOLDER}: run .ci/fetch-device-parts)`;

/** Whether tests with them are skipped. In CI they are not: there they fail. */
export const skipDevices = !hasDeviceParts() && process.env["CI"] === undefined;

/** The words that start a program with its own C library. */
export const devicePartCommand = (program: DeviceProgram, ...words: string[]): string[] => [
  join(LIBRARIES, "ld-linux-x86-64.so.2"),
  "--library-path",
  LIBRARIES,
  join(FOLDER, PROGRAMS[program]),
  ...words,
];

/** A file of the unpacked packages. */
export const devicePartFile = (path: string): string => join(ROOT, path);

/** The names in a folder of the unpacked packages. */
export const devicePartNames = (path: string): string[] => readdirSync(join(ROOT, path));
