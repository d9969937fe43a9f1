// The runtime and signals: a JavaScript handler runs once our loop yields, whatever the loop is
// doing, and a broken pipe is an error and not the end of the process.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { EINTR } from "../../lib/sys/errno.ts";
import { pointer, reserve } from "../../lib/sys/arena.ts";
import { lastErrno, libc } from "../../lib/sys/libc.ts";
import { makePipe, setAlarm } from "../../lib/sys/index.ts";
import { programCommand } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";
import { writeSync } from "node:fs";

const SIGPIPE_MASK = 1n << 12n;

test("a signal interrupts a sleeping call, and its handler runs at the next yield", async () => {
  const seen: string[] = [];
  const handler = (): void => void seen.push("handler");
  process.on("SIGALRM", handler);
  const { readEnd, writeEnd } = makePipe();
  const pollfd = reserve(8);
  pollfd.view.setInt32(0, readEnd.number, true);
  pollfd.view.setInt16(4, 1, true);
  setAlarm(5);
  const result = libc.poll(pointer(pollfd.address), 1, 10_000);
  const errno = result === -1 ? lastErrno() : 0;
  expect(errno).toBe(EINTR);
  expect(seen).toEqual([]);
  while (seen.length === 0) await new Promise((resolve) => void setImmediate(resolve));
  process.off("SIGALRM", handler);
  readEnd[Symbol.dispose]();
  writeEnd[Symbol.dispose]();
});

test("SIGTERM from another process reaches its handler in the loop", async () => {
  const [executable = "", ...words] = programCommand("loop-until-sigterm");
  const child = spawn(executable, words, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
    if (output === "ready\n") child.kill("SIGTERM");
  });
  const status = await new Promise((resolve) => void child.on("close", resolve));
  expect([status, output]).toEqual([7, "ready\nstopped\n"]);
});

test("SIGPIPE is ignored from the start: a broken pipe is EPIPE", () => {
  const ignored = /^SigIgn:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  expect(BigInt(`0x${ignored}`) & SIGPIPE_MASK).toBe(SIGPIPE_MASK);
  const { readEnd, writeEnd } = makePipe();
  readEnd[Symbol.dispose]();
  expect(messageOf(() => writeSync(writeEnd.number, "x"))).toStartWith("EPIPE");
  writeEnd[Symbol.dispose]();
});
