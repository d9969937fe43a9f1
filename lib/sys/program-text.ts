// The pages of our own program's machine code. The kernel maps 64 KiB around each that is touched,
// and starting touches code from end to end: most of what counts as resident is never run again.
// All of it stays in the page cache, from where what is needed comes back at the next touch.

import { readFileSync } from "node:fs";
import { pointer } from "./arena.ts";
import { libc } from "./libc.ts";

const MAPS_PATH = "/proc/self/maps";
const MADV_DONTNEED = 4;

/**
 * Lets go of them. Only mappings of the executable that nobody can have written to: readable,
 * executable, private to a file.
 */
export function releaseProgramText(): void {
  for (const [from, to] of textRanges()) {
    libc.madvise(pointer(from), to - from, MADV_DONTNEED); // Only a hint: nothing hangs on it.
  }
}

function* textRanges(): Generator<readonly [number, number]> {
  let maps: string;
  try {
    maps = readFileSync(MAPS_PATH, "latin1");
  } catch {
    return; // No /proc here: then it stays as it is.
  }
  for (const line of maps.split("\n")) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \d+ +(.*)$/.exec(line);
    if (found === null || found[3] !== process.execPath) continue;
    yield [Number.parseInt(found[1] ?? "", 16), Number.parseInt(found[2] ?? "", 16)];
  }
}
