// A relay or a receiver as a process that is fed piece by piece and replaced between two of them.

import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { builtBinary } from "./binary.ts";

/** On a busy machine an end may take so long to be seen. */
const SETTLED_MS = 300;
const STEP_MS = 5;
const WAIT_MS = 20_000;

export interface Replaced {
  readonly status: number | null;
  readonly kind: string;
  readonly reason: string;
  readonly generation: number;
}

const started: ChildProcess[] = [];

export function startAgent(words: readonly string[], stdio: StdioOptions): ChildProcess {
  const child = spawn(builtBinary(), words, { stdio });
  started.push(child);
  return child;
}

/** Behind a test: one that has failed may have left its program waiting. */
export function endStarted(): void {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  }
}

/** Asks for an update by `agent live-update`, as an operator does. */
export async function replaceBy(
  control: string,
  { binary = builtBinary(), words = [] }: { binary?: string; words?: readonly string[] } = {},
): Promise<Replaced> {
  const child = Bun.spawn(
    [builtBinary(), "live-update", "--json", "--timeout", "20", ...words, control, binary],
    { stdout: "pipe", stderr: "pipe" },
  );
  const [text, error, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (text === "") return { status, kind: "none", reason: error, generation: -1 };
  const answer = JSON.parse(text) as {
    readonly kind: string;
    readonly reason?: string;
    readonly report: { readonly generation: number };
  };
  const { kind, reason = "", report } = answer;
  return { status, kind, reason, generation: report.generation };
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isSo(); waitedMs += STEP_MS) {
    if (waitedMs > WAIT_MS) throw new Error(`It has not come to pass: ${what}`);
    await Bun.sleep(STEP_MS);
  }
}

/**
 * How many descriptors another process has, once nothing of an update is on its way any more: the
 * connection that asked, the line to the other program.
 */
export async function settledDescriptors(pid: number): Promise<number> {
  const count = (): number => readdirSync(`/proc/${pid}/fd`).length;
  let [found, sinceMs] = [count(), performance.now()];
  while (performance.now() - sinceMs < SETTLED_MS) {
    await Bun.sleep(STEP_MS);
    if (count() !== found) [found, sinceMs] = [count(), performance.now()];
  }
  return found;
}

export const isListening = (path: string): boolean => existsSync(path);

/** Writes all of it, as a sender would. */
export const feed = async (child: ChildProcess, bytes: Uint8Array): Promise<void> =>
  await new Promise((resolve, reject) => {
    child.stdin!.write(bytes, (error) => (error ? reject(error) : resolve()));
  });

/** What it has said, once it has ended. */
export async function endOf(child: ChildProcess) {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on("data", (bytes: Buffer) => void out.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => void err.push(bytes));
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}
