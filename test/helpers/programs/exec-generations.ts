// Prints what it is, executes itself in place with descriptors 3 and 4 kept, and prints that again:
// two lines of JSON. A third memory file is not kept.

import { readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { getPriority } from "node:os";
import {
  cleanEnvironment,
  createMemfd,
  Fd,
  isClosedOnExec,
  keepOnExec,
  monotonicMs,
  replaceProgram,
} from "../../../lib/sys/index.ts";

const third = new Fd(3, "descriptor 3");
const fourth = new Fd(4, "descriptor 4");
const isFirst = process.argv[2] === undefined;

/** A signal mask of the main thread, in hex. */
const mask = (name: string): string =>
  new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1] ??
  "";

/** The labels of the memory files that are open. */
const memoryFiles = (): string[] =>
  readdirSync("/proc/self/fd")
    .map((number) => {
      try {
        return readlinkSync(`/proc/self/fd/${number}`);
      } catch {
        return ""; // The descriptor that read the folder is gone by now.
      }
    })
    .filter((path) => path.startsWith("/memfd:"))
    .map((path) => path.slice("/memfd:".length, path.indexOf(" ")))
    .toSorted();

const closedOnExecAtStart = [isClosedOnExec(third), isClosedOnExec(fourth)];
if (isFirst) {
  createMemfd("dropped");
  writeSync(third.number, "written before");
  process.umask(0o027);
}
const line = JSON.stringify({
  pid: process.pid,
  ppid: process.ppid,
  cwd: process.cwd(),
  umask: process.umask(),
  nice: getPriority(),
  ignoredSignals: mask("SigIgn"),
  blockedSignals: mask("SigBlk"),
  keptContent: readFileSync("/proc/self/fd/3", "utf8"),
  closedOnExecAtStart,
  memoryFiles: memoryFiles(),
  monotonicMs: monotonicMs(),
  runtimeMs: performance.now(),
});
writeSync(1, `${line}\n`);
if (isFirst) {
  keepOnExec(third);
  keepOnExec(fourth);
  const argv = [process.execPath, import.meta.path, "second"];
  replaceProgram(process.execPath, { argv, environment: cleanEnvironment(process.env) });
}
