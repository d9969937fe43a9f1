// Two processes count up one word of a shared memory file (descriptor 3) by compare-and-exchange,
// COUNT times each; the first says what came out.

import { writeSync } from "node:fs";
import { Fd, mapShared } from "../../../lib/sys/index.ts";

const [STARTED_AT, WORD_AT] = [0, 16];
const [, , role, count] = process.argv;

using memory = mapShared(new Fd(3, "the shared file"), "write");
const { words } = memory;
const child =
  role === "parent"
    ? Bun.spawn([process.execPath, import.meta.path, "child", String(count)], {
        stdio: ["ignore", "inherit", "inherit", 3],
      })
    : undefined;

// Both begin when both are there, so that they meet.
Atomics.add(words, STARTED_AT, 1);
while (Atomics.load(words, STARTED_AT) < 2);
for (let counted = 0; counted < Number(count);) {
  const found = Atomics.load(words, WORD_AT);
  if (Atomics.compareExchange(words, WORD_AT, found, found + 1) === found) counted++;
}
if (child !== undefined) {
  await child.exited;
  writeSync(1, String(Atomics.load(words, WORD_AT)));
}
