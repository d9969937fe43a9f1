// agent relay as a process of its own, for tests: started, fed and waited for.

import { expect } from "bun:test";
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type RelayReport, RelayReportSchema } from "../../lib/stream/index.ts";
import { builtBinary } from "./binary.ts";
import { fullXlStream } from "./full-stream.ts";
import { leftBehind } from "./processes.ts";
import { PV64, xlPlan } from "./stream-builder.ts";
import { encode } from "./stream-plan.ts";
import { temporaryFolder } from "./temporary.ts";

export const WAIT_MS = 5000;
export const SMALL = encode(xlPlan(PV64)).bytes;
/** More than all pipes on the way hold. */
export const LARGE = fullXlStream({ ...PV64, pages: 1536 });

export interface RelayRan {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export function startRelay(words: readonly string[], stdio: StdioOptions): ChildProcess {
  // A group of its own: whoever is left in it afterwards was left behind.
  return spawn(builtBinary(), ["relay", ...words], { stdio, detached: true });
}

export async function relayEnd(child: ChildProcess): Promise<RelayRan> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on("data", (bytes: Buffer) => void out.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => void err.push(bytes));
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on("close", (code, name) => resolve([code, name]));
  });
  expect(await leftBehind(child.pid!, WAIT_MS)).toEqual([]); // It was started.
  return { status, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

/** Runs it on a file, with standard output as a pipe. */
export async function relayFile(bytes: Uint8Array, words: readonly string[]): Promise<RelayRan> {
  using folder = temporaryFolder();
  const path = join(folder.path, "input");
  writeFileSync(path, bytes);
  const input = openSync(path, "r");
  const child = startRelay(words, [input, "pipe", "pipe"]);
  closeSync(input);
  return await relayEnd(child);
}

export const reportOf = ({ stderr }: RelayRan): RelayReport =>
  v.parse(RelayReportSchema, JSON.parse(stderr));
