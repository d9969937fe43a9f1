// The kernel: what a memory file can be relied on for when it is handed to another process.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { pointer } from "../../lib/sys/arena.ts";
import { libc } from "../../lib/sys/libc.ts";
import { createMemfd, resizeFile, SEAL_MASK, sealMemfd } from "../../lib/sys/index.ts";
import { run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

const PAGE_BYTES = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

test("sealing against writes is EBUSY while a writable mapping exists, and works after", () => {
  using file = createMemfd("mapped");
  resizeFile(file, PAGE_BYTES);
  const base = libc.mmap(null, PAGE_BYTES, PROT_READ_WRITE, MAP_SHARED, file.number, 0);
  expect(messageOf(() => sealMemfd(file, SEAL_MASK.write))).toBe(
    `Cannot seal ${file.name}: fcntl on ${file.name} failed with EBUSY (errno 16)`,
  );
  libc.munmap(pointer(base), PAGE_BYTES);
  sealMemfd(file, SEAL_MASK.write);
});

test("a child that inherits the descriptor cannot cut a sealed file under us", () => {
  using file = createMemfd("sealed");
  resizeFile(file, PAGE_BYTES);
  sealMemfd(file, SEAL_MASK.shrink);
  const { status } = run(["/bin/sh", "-c", ": > /dev/fd/3"], { descriptors: [file.number] });
  expect(status).not.toBe(0);
  expect(readFileSync(`/proc/self/fd/${file.number}`).length).toBe(PAGE_BYTES);
});
