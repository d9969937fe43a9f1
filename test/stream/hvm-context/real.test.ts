// The HVM context parser on contexts that Xen 4.20 saved.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { captureTitle, capturePath } from "../../helpers/captures.ts";
import { parse } from "./collect.ts";

/** Where the body of HVM_CONTEXT stands. */
const CAPTURES = [
  { name: "hvm40-physmap.xl-save", at: 0x2ff7ac7, length: 4120, entryCount: 18, cpuCount: 1 },
  { name: "pvh48.xl-save", at: 0x37ca8ee, length: 4928, entryCount: 17, cpuCount: 2 },
];

for (const { name, at, length, entryCount, cpuCount } of CAPTURES) {
  const path = capturePath(name);
  test.skipIf(path === undefined)(captureTitle(`Xen 4.20 saved ${name}`, path), () => {
    const { entries, findings } = parse(readFileSync(path!).subarray(at, at + length), 1000);
    expect(findings).toEqual([]);
    expect(entries).toHaveLength(entryCount);
    expect(entries.filter((entry) => entry.startsWith("2 CPU"))).toHaveLength(cpuCount);
  });
}
