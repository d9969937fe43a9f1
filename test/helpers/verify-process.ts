// `agent verify` as a process of its own, from source: with any input, measured, and with a time
// after which it counts as hanging.

import { agentCommand } from "./run.ts";

/** Generous: only a process that would never end takes so long. */
const HANG_MS = 60_000;

export interface VerifyProcess {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The most memory it had at any time. */
  readonly peakBytes: number;
}

export interface VerifyProcessOptions {
  /** A descriptor. */
  readonly stdin: number | "ignore";
  readonly uid?: number;
}

/** `agent verify WORDS`, to its end. A process that hangs is killed: its signal is SIGKILL. */
export async function verifyProcess(
  words: readonly string[],
  { stdin, uid }: VerifyProcessOptions,
): Promise<VerifyProcess> {
  const command = agentCommand("verify", ...words);
  const child = Bun.spawn(uid === undefined ? command : [...asUser(uid), ...command], {
    stdio: [stdin, "pipe", "pipe"],
    timeout: HANG_MS,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  const peakBytes = child.resourceUsage()?.maxRSS ?? 0;
  const signal = child.signalCode === null ? null : String(child.signalCode);
  return { status: child.exitCode, signal, stdout, stderr, peakBytes };
}

/** The words that run a command as another user, without capabilities. */
const asUser = (uid: number): string[] => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${uid}`,
  "--clear-groups",
  "--inh-caps=-all",
];
