// `agent verify` as a process of its own: with any input, measured, and with a time after which it
// counts as hanging.

import { readFileSync } from "node:fs";
import { agentCommand } from "./run.ts";

/** Generous: only a process that would never end takes so long. */
const HANG_MS = 60_000;
const WATCH_MS = 10;

export interface VerifyProcess {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The most memory it had at any time, but for its last moment. */
  readonly peakBytes: number;
}

export interface VerifyProcessOptions {
  /** A descriptor. */
  readonly stdin: number | "ignore";
  /** Another user; for it the compiled program, where that user can reach it. */
  readonly other?: { readonly uid: number; readonly program: string };
}

/** `agent verify WORDS`, to its end. A process that hangs is killed: its signal is SIGKILL. */
export async function verifyProcess(
  words: readonly string[],
  { stdin, other }: VerifyProcessOptions,
): Promise<VerifyProcess> {
  const command =
    other === undefined
      ? agentCommand("verify", ...words)
      : [...asUser(other.uid), other.program, "verify", ...words];
  const child = Bun.spawn(command, {
    ...(other === undefined ? {} : { cwd: "/" }),
    stdio: [stdin, "pipe", "pipe"],
    timeout: HANG_MS,
    killSignal: "SIGKILL",
  });
  // What wait4 says is no less than what this process had when it started the child.
  let peakBytes = 0;
  const watch = setInterval(() => (peakBytes = peakOf(child.pid) ?? peakBytes), WATCH_MS);
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  clearInterval(watch);
  const signal = child.signalCode === null ? null : String(child.signalCode);
  return { status: child.exitCode, signal, stdout, stderr, peakBytes };
}

/** VmHWM: the most that was resident since the program began. */
function peakOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const found = /^VmHWM:\s*(\d+) kB$/m.exec(status);
    return found === null ? undefined : Number(found[1]) * 1024;
  } catch {
    return undefined; // It has ended meanwhile.
  }
}

/** The words that run a command as another user, without capabilities. */
const asUser = (uid: number): string[] => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${uid}`,
  "--clear-groups",
  "--inh-caps=-all",
];
