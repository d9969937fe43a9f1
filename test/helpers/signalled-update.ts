// An update of the echo server in which one of the processes is sent a signal at one of its
// wake-ups: what must hold afterwards, whichever it was. Throws where it does not.

import { deepStrictEqual, ok } from "node:assert";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { badEcho } from "./echo-binary.ts";
import { EchoLoad } from "./echo-load.ts";
import { EchoProcess } from "./echo-process.ts";
import { processes } from "./processes.ts";

export interface SignalledUpdate {
  readonly way: "promote" | "in_place";
  readonly role: "old" | "new" | "keeper";
  /** A later wake-up than there are signals nobody. */
  readonly wakeUp: number;
}

const CLIENTS = 4;
const STOPPED_MS = 30;
const SETTLE_MS = 20_000;
const QUIET_MS = 1000;
const ORDER = { prepareMs: 30_000, pauseMs: 10_000 } as const;

/**
 * SIGTERM. A process that serves, or has served, ends in order: once, and nobody serves on. One
 * that does not serve yet just ends.
 */
export async function toldToEnd({ way, role, wakeUp }: SignalledUpdate): Promise<void> {
  const server = new EchoProcess();
  await using _ = server;
  const [ends, told] = [join(server.folder, "ends"), join(server.folder, "told")];
  const dies = { ECHO_DIES: `${role} ${wakeUp} SIGTERM`, ECHO_TOLD: told, ECHO_ENDS: ends };
  await server.start(dies, undefined);
  const load = await EchoLoad.start(server.socket, CLIENTS, wakeUp);
  const { kind } = await server.update({ ...ORDER, way, binary: badEcho(server.folder, "new") });
  const isOver = await isOverInTheEnd(server, role, { ends, told });
  await load.stop(SETTLE_MS);
  deepStrictEqual(load.mistakes({ mayClose: isOver }), []);
  deepStrictEqual(await left(server, isOver ? 0 : 1), []);
  const lines = linesOf(ends);
  deepStrictEqual(lines.length, isOver ? 1 : 0);
  if (!existsSync(told)) deepStrictEqual(kind, "updated");
  // The state was whole: all that was answered is counted.
  const counted = Number(lines[0]?.split(" ")[1]);
  if (isOver) ok(counted >= load.answered, `${counted} of ${load.answered} answers are counted`);
}

/** Whether nobody serves on. Somebody may be told once the update is over, but not much later. */
async function isOverInTheEnd(
  server: EchoProcess,
  role: SignalledUpdate["role"],
  { ends, told }: { readonly ends: string; readonly told: string },
): Promise<boolean> {
  const beganMs = performance.now();
  for (let changedMs = beganMs; changedMs < beganMs + SETTLE_MS; await Bun.sleep(10)) {
    const pids = server.pids();
    if (existsSync(ends) || pids.length === 0) return true;
    const [pid] = linesOf(told).map(Number);
    // Somebody ends for the old one if it has left already; others may not serve yet.
    const isDue = pid !== undefined && (role === "old" || pids.includes(pid));
    if (isDue || pids.length > 1) changedMs = performance.now();
    else if (performance.now() > changedMs + QUIET_MS) return false;
  }
  throw new Error(`An update does not come to its end in ${SETTLE_MS} ms`);
}

const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];

/** What is there beside so many, once it has had the time to end: it may be in the idle class. */
async function left(server: EchoProcess, wanted: number): Promise<string[]> {
  const untilMs = performance.now() + SETTLE_MS;
  while (server.pids().length > wanted && performance.now() < untilMs) await Bun.sleep(10);
  const pids = server.pids();
  if (pids.length === wanted) return [];
  return processes()
    .filter(({ pid }) => pids.includes(pid))
    .map(({ pid, parent, state, command }) => `${pid} of ${parent}, ${state}: ${command}`);
}

/** SIGSTOP, and SIGCONT some time later. The update is done, and nothing is lost. */
export async function stoppedForAWhile({ way, role, wakeUp }: SignalledUpdate): Promise<void> {
  await using server = await new EchoProcess().start(
    { ECHO_DIES: `${role} ${wakeUp} SIGSTOP` },
    undefined,
  );
  const load = await EchoLoad.start(server.socket, CLIENTS, wakeUp);
  let isDone = false;
  const waking = (async () => {
    // Also one that had done its part when it stopped.
    for (; !isDone || server.pids().length > 1; await Bun.sleep(STOPPED_MS)) wake(server);
  })();
  const end = await server.update({ ...ORDER, way, binary: badEcho(server.folder, "new") });
  isDone = true;
  await waking;
  deepStrictEqual([end.kind, end.reason], ["updated", undefined]);
  wake(server);
  await load.stop(SETTLE_MS);
  deepStrictEqual(load.mistakes({ mayClose: false }), []);
}

function wake(server: EchoProcess): void {
  const pids = server.pids();
  for (const { pid, state } of processes()) {
    if (state === "T" && pids.includes(pid)) process.kill(pid, "SIGCONT");
  }
}
