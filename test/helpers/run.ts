// Runs a program of ours from source in a process of its own: for what must not happen to the test
// runner (exec, signals, lowered limits, a sandbox).

import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";

export const REPOSITORY = resolve(import.meta.dir, "../..");
const MAIN = join(REPOSITORY, "agent/main.ts");
const PROGRAMS = join(import.meta.dir, "programs");
const TIMEOUT_MS = 30_000;

export interface Ran {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The whole environment; without it the child has ours. */
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly uid?: number;
  /** Descriptors from 3 up. */
  readonly descriptors?: readonly number[];
}

/** The words that start agent from source. */
export const agentCommand = (...words: string[]): string[] => [process.execPath, MAIN, ...words];

/** The words that start one of test/helpers/programs. */
export const programCommand = (name: string, ...words: string[]): string[] => [
  process.execPath,
  join(PROGRAMS, `${name}.ts`),
  ...words,
];

export function run(command: readonly string[], options: RunOptions): Ran {
  const [executable = "", ...words] = command;
  const { env, cwd = REPOSITORY, uid, descriptors = [] } = options;
  const { error, status, signal, stdout, stderr } = spawnSync(executable, words, {
    cwd,
    ...(env === undefined ? {} : { env }),
    ...(uid === undefined ? {} : { uid, gid: uid }),
    stdio: ["ignore", "pipe", "pipe", ...descriptors],
    timeout: TIMEOUT_MS,
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  return { status, signal, stdout, stderr };
}
