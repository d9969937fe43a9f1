// Letting go of the program's own pages: it runs on.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { releaseProgramText } from "../../lib/sys/index.ts";

const fileKib = (): number =>
  Number(/^RssFile:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

test("less is resident afterwards, and everything still works", () => {
  const before = fileKib();
  releaseProgramText();
  const after = fileKib();
  expect(after).toBeLessThan(before);
  expect([3, 1, 2].toSorted().join()).toBe("1,2,3");
});
