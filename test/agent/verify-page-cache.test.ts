// Verifying an image that nobody has read yet leaves the page cache to the guests: what it reads of
// the file is a pfn list here and there, and the kernel is told not to read ahead.

import { expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adviseDrop, type Fd, openForReading, reserve } from "../../lib/sys/index.ts";
import { libc } from "../../lib/sys/libc.ts";
import { pointer } from "../../lib/sys/arena.ts";
import { writeBigStream } from "../bench/big-stream.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const PAGE_BYTES = 4096;
const MEMORY_BYTES = 256 * 1024 * 1024;
const PROT_READ = 1;
const MAP_SHARED = 1;

/** One byte a page (mincore); a little more than the largest file here has. */
const residency = reserve(MEMORY_BYTES / PAGE_BYTES + 4096);

/** How many pages of the file are in the page cache. */
function residentPages(fd: Fd, bytes: number): number {
  const base = libc.mmap(null, bytes, PROT_READ, MAP_SHARED, fd.number, 0);
  try {
    expect(libc.mincore(pointer(base), bytes, pointer(residency.address))).toBe(0);
  } finally {
    libc.munmap(pointer(base), bytes);
  }
  const pages = Math.ceil(bytes / PAGE_BYTES);
  return residency.bytes.subarray(0, pages).reduce((sum, byte) => sum + (byte & 1), 0);
}

function drop(path: string): void {
  using fd = openForReading(path);
  adviseDrop(fd, 0, 0); // To its end.
}

/** In a file system that is memory itself (tmpfs) nothing can be dropped. */
function canDrop(): boolean {
  using folder = temporaryFolder();
  const path = join(folder.path, "file");
  writeFileSync(path, new Uint8Array(PAGE_BYTES * 8), { flush: true });
  drop(path);
  using fd = openForReading(path);
  return residentPages(fd, PAGE_BYTES * 8) === 0;
}

const isDisk = canDrop();
const why = isDisk ? "" : " (skipped: the temporary folder is in memory)";

test.skipIf(!isDisk)(
  `a cold image leaves at most 1 % of itself in the page cache${why}`,
  () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "image");
    writeBigStream(path, { memoryBytes: MEMORY_BYTES, contents: "written" });
    drop(path);
    using fd = openForReading(path);
    const { size } = statSync(path);
    expect(residentPages(fd, size)).toBeLessThan(size / PAGE_BYTES / 1000);
    expect(run(agentCommand("verify", path), {}).status).toBe(0);
    expect(residentPages(fd, size)).toBeWithin(1, size / PAGE_BYTES / 100 + 1);
  },
  30_000,
);
