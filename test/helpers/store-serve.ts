// Our own xenstore daemon as a process, with the same handles as the peers of store-peers.ts.

import { mkdirSync, openSync, closeSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "./binary.ts";
import { processes } from "./processes.ts";
import { agentCommand } from "./run.ts";
import { runFolder, type StoreDaemon } from "./store-peers.ts";
import { listens } from "./store-socket.ts";

const START_MS = 20_000;
const STOP_MS = 5000;

export interface ServeOptions {
  /** From source, or the built binary: that is what is measured. */
  readonly program: "source" | "binary";
  readonly words: readonly string[];
}

export const serveFromSource = (): StoreDaemon => startServe({ program: "source", words: [] });

/** Starts `agent store serve` on a folder of its own and waits until it listens. */
export function startServe({ program, words }: ServeOptions): StoreDaemon {
  const run = runFolder();
  const [socket, shim] = [join(run, "socket"), join(run, "shim")];
  mkdirSync(shim);
  const all = ["store", "serve", "--socket", socket, "--hypervisor", shim, ...words];
  const command = program === "binary" ? [builtBinary(), ...all] : agentCommand(...all);
  const out = openSync(join(run, "out"), "w");
  const env = { ...process.env, XENSTORED_RUNDIR: run, XENSTORED_PATH: socket };
  const child = Bun.spawn(command, { stdin: "ignore", stdout: out, stderr: out, env });
  closeSync(out);
  const untilMs = performance.now() + START_MS;
  while (!listens(socket)) {
    if (performance.now() > untilMs || !isRunning(child.pid)) {
      child.kill("SIGKILL");
      throw new Error(`Cannot start ${command.join(" ")}:\n${readFileSync(join(run, "out"))}`);
    }
    Bun.sleepSync(5);
  }
  return {
    name: "agent",
    run,
    socket,
    shim,
    pid: child.pid,
    [Symbol.dispose]() {
      stop(child);
      rmSync(run, { recursive: true, force: true });
    },
  };
}

/** Who has ended and was not waited for yet does not run. */
const isRunning = (pid: number): boolean => processes().some((row) => row.pid === pid);

function stop(child: Bun.Subprocess): void {
  child.kill("SIGTERM");
  const untilMs = performance.now() + STOP_MS;
  while (isRunning(child.pid) && performance.now() < untilMs) Bun.sleepSync(5);
  child.kill("SIGKILL");
}
