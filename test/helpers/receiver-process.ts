// agent checkpoint receive as a process of its own, for tests: fed, killed, and asked afterwards
// what stands. Synchronous, so that fuzzers can use it.

import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { assert } from "../../lib/base/index.ts";
import { scanFolder, verifyFolder } from "../../lib/checkpoint/index.ts";
import { makePipe } from "../../lib/sys/index.ts";
import { restoreBytes } from "./checkpoints.ts";
import { agentCommand } from "./run.ts";

export interface ReceiverRan {
  readonly status: number | null;
  readonly stderr: string;
  /** Numbers of the restore points that were reported as committed. */
  readonly reported: readonly number[];
  readonly elapsedMs: number;
}

export interface ReceiverRun {
  /** The stream's file: it comes through a pipe. */
  readonly from: string;
  readonly to: string;
  readonly words?: readonly string[];
  /** Killed by SIGKILL after so long. */
  readonly killAfterMs?: number;
  /** Stands before the program: strace, prlimit. */
  readonly under?: readonly string[];
}

const TIMEOUT_MS = 30_000;

/** Runs it on a file that comes through a pipe, to its end or until it is killed. */
export function runReceiver(run: ReceiverRun): ReceiverRan {
  const { from, to, words = [], killAfterMs, under = [] } = run;
  const pipe = makePipe();
  const lines = makePipe();
  const cat = spawn("cat", [from], { stdio: ["ignore", pipe.writeEnd.number, "ignore"] });
  cat.on("error", () => undefined);
  pipe.writeEnd[Symbol.dispose]();
  const kill = killAfterMs === undefined ? [] : ["timeout", "-s", "KILL", `${killAfterMs / 1000}`];
  const command = [
    ...kill,
    ...under,
    ...agentCommand("checkpoint", "receive", "--to", to, "--no-banner", "--commit-fd", "3"),
    ...words,
  ];
  const startedMs = performance.now();
  const { status, stderr } = spawnSync(command[0]!, command.slice(1), {
    stdio: [pipe.readEnd.number, "ignore", "pipe", lines.writeEnd.number],
    timeout: TIMEOUT_MS,
    encoding: "utf8",
  });
  const elapsedMs = performance.now() - startedMs;
  pipe.readEnd[Symbol.dispose]();
  lines.writeEnd[Symbol.dispose]();
  const text = readFileSync(lines.readEnd.number, "utf8");
  lines.readEnd[Symbol.dispose]();
  const reported = text
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { readonly number: number }).number);
  return { status, stderr, reported, elapsedMs };
}

const squashed = new Map<string, number>();

/** CRC-32 of what `agent squash` makes of a stream at a checkpoint. */
function squashCheck(from: string, checkpoint: number): number {
  const key = `${from} ${checkpoint}`;
  const known = squashed.get(key);
  if (known !== undefined) return known;
  const squash = agentCommand("squash", from, "--at", String(checkpoint), "--to", "-", "--quiet");
  const { status, stdout } = spawnSync(squash[0]!, squash.slice(1), { maxBuffer: 2 ** 30 });
  assert(status === 0, "squash takes the stream");
  const check = crc32(stdout);
  squashed.set(key, check);
  return check;
}

/**
 * What stands after a fault: everything that was reported, the last point as squash has it, every
 * page right. Throws what does not hold. Returns the last point's number; 0 for none.
 */
export function assertStands(folder: string, from: string, reported: readonly number[]): number {
  const { points } = scanFolder(folder);
  const last = points.at(-1);
  const lastReported = reported.at(-1) ?? 0;
  assert((last?.number ?? 0) >= lastReported, `restore point ${lastReported} was reported`);
  if (last === undefined) return 0;
  const check = crc32(restoreBytes(folder, last.number));
  assert(check === squashCheck(from, last.round), `point ${last.number} is what squash gives`);
  const { problems, badPages } = verifyFolder(folder, { limit: 5, onProgress() {} });
  assert(problems.length === 0 && badPages === 0, `nothing is wrong: ${JSON.stringify(problems)}`);
  return last.number;
}
