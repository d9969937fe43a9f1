// Becomes idle and prints what the kernel says of every thread then.

import { readdirSync } from "node:fs";
import { getPriority } from "node:os";
import { libc } from "../../../lib/sys/libc.ts";
import { becomeIdle } from "../../../lib/sys/index.ts";

const SYS_IOPRIO_GET = process.arch === "arm64" ? 31 : 252;
const WHO_PROCESS = 1;
const CLASS_FACTOR = 1 << 13;

const answer = becomeIdle();
const threads = readdirSync("/proc/self/task").map(Number);
const ioClasses = threads.map((thread) => {
  const priority = libc.syscall(SYS_IOPRIO_GET, WHO_PROCESS, thread, 0, 0, 0, 0);
  return Math.floor(priority / CLASS_FACTOR);
});
console.log(
  JSON.stringify({
    answer,
    nice: [...new Set(threads.map((thread) => getPriority(thread)))],
    ioClasses: [...new Set(ioClasses)],
  }),
);
