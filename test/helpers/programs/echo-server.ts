// The echo server of the live update tests, compiled by echo-binary.ts. Under the name "echo-WORD"
// it is a bad new program of that kind.
//
//   echo-server serve SOCKET CONTROL       serves until SIGTERM, and then writes a line to $ECHO_ENDS;
//                                          a signal by $ECHO_DIES is told to $ECHO_TOLD before it
//   echo-server live-update-launch JSON    the launcher
//   echo-server live-update-probe          what it can continue
//
// On CONTROL an update is ordered by one JSON object (UpdateOrder); the outcome comes back on the
// same connection, whoever of the two programs serves by then.

import { appendFileSync } from "node:fs";
import { basename } from "node:path";
import {
  claimHandover,
  type Claimed,
  type Heirs,
  LAUNCHER_COMMAND,
  loopWaiter,
  PROBE_COMMAND,
  PROTOCOL,
  runLauncher,
  type TakenOver,
  takeOver,
  Updater,
  type UpdateOrder,
  type Waiter,
} from "../../../lib/handover/index.ts";
import { bindUnix, cleanEnvironment, Loop } from "../../../lib/sys/index.ts";
import { echoHeir } from "../echo-heir.ts";
import { Echo, ECHO_STATE_VERSION, echoSurvivor } from "../echo-survivor.ts";

const [, , command, ...words] = process.argv;
const name = basename(process.execPath);
const isGood = name === "echo-server" || name === "echo-new";
const behaviour = isGood ? undefined : name.slice("echo-".length);
const version = behaviour === "of-another-version" ? 99 : ECHO_STATE_VERSION;
const VERSION_LINE = `echo ${behaviour ?? "good"}`;

type Role = "old" | "new" | "keeper";

/** The keeper is an heir of the old binary's name. */
const roleOf = (claimed: Claimed | undefined): Role =>
  claimed === undefined
    ? "old"
    : claimed.kind === "heir" && name === "echo-server"
      ? "keeper"
      : "new";

/**
 * ECHO_DIES="new 5": the process in that role is killed when the handover wakes it for the fifth
 * time, before it does anything. "new 5 SIGTERM" is another signal.
 */
function mortal(waiter: Waiter, role: Role): Waiter {
  const [victim, at, signal = "SIGKILL"] = (process.env.ECHO_DIES ?? "").split(" ");
  if (victim !== role) return waiter;
  let wakeUps = 0;
  const counted = (run: () => void) => (): void => {
    if (++wakeUps === Number(at)) {
      tell(process.env.ECHO_TOLD, `${process.pid}`);
      process.kill(process.pid, signal);
    }
    run();
  };
  return {
    ...waiter,
    watch: (fd, onReadable) => waiter.watch(fd, counted(onReadable)),
    after: (delayMs, run) => waiter.after(delayMs, counted(run)),
  };
}

function tell(path: string | undefined, line: string): void {
  if (path !== undefined) appendFileSync(path, `${line}\n`);
}

function updaterOf(echo: Echo, waiter: Waiter, generation: number): Updater {
  return new Updater({
    survivor: echoSurvivor(echo),
    waiter,
    self: { executable: process.execPath, words: [], environment: cleanEnvironment(process.env) },
    argv0: process.argv0,
    words: [command ?? "", ...words],
    environment: process.env,
    generation,
  });
}

function takeOrders(echo: Echo, updater: Updater): void {
  echo.onOrder = (order, asker) => {
    if (!updater.isActive) echo.asker = asker;
    try {
      updater.start(JSON.parse(order) as UpdateOrder, (end) => {
        if (end.kind === "left") return;
        echo.tellAsker(end);
      });
    } catch (error) {
      if (!updater.isActive) echo.asker = undefined;
      echo.tellAskerOn(asker, { kind: "failed", reason: String(error) });
    }
  };
}

function newEcho(loop: Loop, paths: readonly string[]): Echo {
  const [listener, control] = paths.map((path) => bindUnix({ path, kind: "stream" }));
  const echo = new Echo(loop, { arena: Echo.newArena(), listener: listener!, control: control! });
  echo.startServing();
  return echo;
}

async function serve(socket: string, control: string): Promise<void> {
  using loop = new Loop();
  const claimed = claimHandover(process.env);
  const waiter = mortal(loopWaiter(loop), roleOf(claimed));
  let isGivenUp = false;
  let updater: Updater | undefined;
  let taken: TakenOver | undefined;
  let served: Echo | undefined;
  let isToldToEnd = false;
  const stop = (): void => {
    isToldToEnd = true;
    loop.stop();
  };
  const quit = (): void => {
    if (updater === undefined) stop();
    else updater.quit("it was told to end", stop);
  };
  /** A program that does not serve yet ends as anybody does. */
  const watchSignals = (): void =>
    loop.onSignal("SIGTERM", () => (taken === undefined ? quit() : taken.finish(quit)));
  const run = (echo: Echo, generation: number): void => {
    served = echo;
    updater = updaterOf(echo, waiter, generation);
    takeOrders(echo, updater);
  };
  if (claimed === undefined) {
    watchSignals();
    run(newEcho(loop, [socket, control]), 0);
  } else {
    const onServing = (echo: Echo): void => {
      served = echo;
      watchSignals();
    };
    const start = () => echoHeir(loop, behaviour, onServing);
    const heirs: Heirs = { echo: { stateVersions: [version], start } };
    taken = takeOver({
      claimed,
      waiter,
      heirs,
      version: VERSION_LINE,
      onServing: (_, generation) => run(served!, generation),
      onEnd(failure) {
        isGivenUp = failure !== undefined;
        loop.stop();
      },
    });
  }
  await loop.run();
  if (isToldToEnd) tell(process.env.ECHO_ENDS, `${process.pid} ${served?.total}`);
  process.exit(isGivenUp ? 1 : 0);
}

if (command === PROBE_COMMAND) {
  if (behaviour === "knows-no-probe") process.exit(2);
  if (behaviour === "hangs-at-probe") await Bun.sleep(1_000_000);
  const kinds = { echo: [version] };
  const protocol = [PROTOCOL.oldest, PROTOCOL.newest];
  process.stdout.write(JSON.stringify({ protocol, version: VERSION_LINE, kinds }));
} else if (command === LAUNCHER_COMMAND) {
  await runLauncher(words[0] ?? "", process.env);
} else {
  if (behaviour === "crashes-at-start") process.kill(process.pid, "SIGSEGV");
  if (behaviour === "exits-at-start") process.exit(0);
  if (behaviour === "hangs-at-start") for (;;) Bun.sleepSync(1000);
  await serve(words[0] ?? "", words[1] ?? "");
}
