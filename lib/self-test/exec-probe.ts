// The probe of exec in place, what a live update rests on. A child of ours gets a memory file as
// descriptor 3 and executes itself with it kept; what it is then reports whether the pid and the
// file are the same.
//
//   check ── spawns ──> child "before" ── execs itself, 3 kept ──> child "after PID" ──> stdout

import { spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import {
  createMemfd,
  Fd,
  keepOnExec,
  openForReading,
  readAt,
  replaceProgramByFd,
  reserve,
} from "../sys/index.ts";
import { expect, type Probe } from "./probe.ts";

/**
 * How to start this very program again: the executable, then the words before the command's name.
 */
export interface Self {
  readonly executable: string;
  readonly words: readonly string[];
  /** Sanitised. */
  readonly environment: Record<string, string>;
}

/** The command that main hands to runExecChild(). */
export const CHILD_COMMAND = "self-test-child";
/** As argv[0], so that no drop-in name is met, whatever the file is called. */
const PROGRAM_NAME = "agent";
const KEPT_FD = 3;
const KEPT_TEXT = "kept across exec";
const ANSWER = "same pid, descriptor kept";
const CHILD_TIMEOUT_MS = 10_000;

export const execProbe = (self: Self): Probe => ({
  group: "process",
  name: "exec_in_place",
  run: () => {
    using file = createMemfd("agent-check-kept");
    writeSync(file.number, KEPT_TEXT);
    const child = spawnSync(self.executable, [...self.words, CHILD_COMMAND, "before"], {
      argv0: PROGRAM_NAME,
      env: self.environment,
      stdio: ["ignore", "pipe", "pipe", file.number],
      timeout: CHILD_TIMEOUT_MS,
      encoding: "utf8",
    });
    if (child.error !== undefined) throw child.error;
    if (child.stdout.trim() === ANSWER) return ANSWER;
    const end = child.signal ?? `exit status ${child.status}`;
    const said = (child.stderr + child.stdout).trim() || "nothing";
    throw new RefusedError(
      `Cannot execute "${self.executable}" in place: ${end}, it said: ${said}`,
    );
  },
});

/** What the child does; `stage` and `pid` are its operands. Returns the line for stdout. */
export function runExecChild(self: Self, stage: string, pid: string | undefined): string {
  const kept = new Fd(KEPT_FD, "the kept descriptor");
  if (stage === "before") {
    using executable = openForReading(self.executable);
    keepOnExec(kept);
    const argv = [PROGRAM_NAME, ...self.words, CHILD_COMMAND, "after", String(process.pid)];
    replaceProgramByFd(executable, { argv, environment: self.environment });
  }
  expect("the pid after exec", { wanted: pid, found: String(process.pid) });
  const region = reserve(KEPT_TEXT.length);
  const got = readAt(kept, region.address, region.length, 0);
  const text = Buffer.from(region.bytes.subarray(0, got)).toString("latin1");
  expect("the content of the kept descriptor", { wanted: KEPT_TEXT, found: text });
  return ANSWER;
}
