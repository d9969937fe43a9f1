// Receives ten descriptors where the limit of open files leaves room for about five.

import { readdirSync } from "node:fs";
import { Fd, makeSocketPair, receiveDescriptors, sendDescriptors } from "../../../lib/sys/index.ts";
import { pointer, reserve } from "../../../lib/sys/arena.ts";
import { libc } from "../../../lib/sys/libc.ts";
import { setWord } from "../../../lib/sys/memory-words.ts";

const SYS_PRLIMIT64 = process.arch === "arm64" ? 261 : 302;
const RLIMIT_NOFILE = 7;

const [sender, far] = makeSocketPair("stream");
const receiver = new Fd(far.number, "the socket");
sendDescriptors(
  sender,
  new Uint8Array(1),
  Array.from({ length: 10 }, () => sender.number),
);

const open = (): number[] => readdirSync("/proc/self/fd").map(Number);
const before = open().length;
const limit = reserve(16);
setWord(limit.view, 0, Math.max(...open()) + 6);
setWord(limit.view, 8, Math.max(...open()) + 6);
libc.syscall(SYS_PRLIMIT64, 0, RLIMIT_NOFILE, Number(pointer(limit.address)), 0, 0, 0);
try {
  receiveDescriptors(receiver, 1);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
}
console.log(`${open().length - before} leaked`);
