// Signals to the store daemon while it is replaced: to all of its processes, as a service manager
// sends them, or to one of them.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { builtBinary } from "../helpers/binary.ts";
import { unitRandom } from "../helpers/pieces.ts";
import type { StoreDaemon } from "../helpers/store-peers.ts";
import { StoreLoad } from "../helpers/store-load.ts";
import { listens, StoreSocket } from "../helpers/store-socket.ts";
import { startServe } from "../helpers/store-serve.ts";
import { killAll, pidsOf, settledPids, updateStore } from "../helpers/store-update.ts";

const CLIENTS = 6;
const MOMENT_MS_MAX = 500;
const SETTLE_MS = 20_000;
const TIMEOUT_MS = 120_000;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 3;

let daemon: StoreDaemon;
beforeEach(() => void (daemon = startServe({ program: "binary", words: [] })), TIMEOUT_MS);
afterEach(() => {
  killAll(daemon.socket);
  daemon[Symbol.dispose]();
});

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** A later daemon with the same files. */
function startAgain({ socket, shim, run }: StoreDaemon): void {
  const words = ["store", "serve", "--socket", socket, "--hypervisor", shim];
  const env = { ...process.env, XENSTORED_RUNDIR: run, XENSTORED_PATH: socket };
  Bun.spawn([builtBinary(), ...words], { stdio: ["ignore", "ignore", "ignore"], env });
  const untilMs = performance.now() + SETTLE_MS;
  while (!listens(socket) && performance.now() < untilMs) Bun.sleepSync(5);
}

test.each([
  ["promote", "all"],
  ["in-place", "all"],
  ["promote", "the first"],
  ["in-place", "the first"],
] as const)(
  `%s, %s of the processes told to end at any moment: the store is kept (SEED=${SEED})`,
  async (way, which) => {
    const { socket } = daemon;
    const random = unitRandom(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      const [first = 0] = await settledPids(socket);
      const load = await StoreLoad.start(socket, CLIENTS, SEED + round);
      {
        using client = new StoreSocket(socket);
        expect(client.ask("WRITE", `/kept\0${round}`, 0)?.body).toBe("OK\0");
      }
      const update = updateStore(socket, { binary: builtBinary(), way }).catch(() => undefined);
      await Bun.sleep(random() * MOMENT_MS_MAX);
      for (const pid of which === "all" ? pidsOf(socket) : [first]) signal(pid, "SIGTERM");
      await update;
      // The first one may have left just before: then nobody was told.
      const hasLeft = way === "promote" && which === "the first" && !pidsOf(socket).includes(first);
      if (hasLeft) for (const pid of pidsOf(socket)) signal(pid, "SIGTERM");
      const untilMs = performance.now() + SETTLE_MS;
      while (pidsOf(socket).length > 0 && performance.now() < untilMs) await Bun.sleep(10);
      expect(pidsOf(socket)).toEqual([]);
      expect(existsSync(socket)).toBe(false);
      await load.stop(SETTLE_MS);
      expect(load.mistakes).toEqual([]);
      startAgain(daemon);
      using client = new StoreSocket(socket);
      expect(client.ask("READ", "/kept\0", 0)?.body).toBe(String(round));
      expect(client.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
    }
  },
  TIMEOUT_MS,
);

test.each(["promote", "in-place"] as const)(
  `%s, other signals to any process at any moment: nothing is lost, nobody hangs (SEED=${SEED})`,
  async (way) => {
    const { socket } = daemon;
    const random = unitRandom(SEED);
    for (const name of ["SIGCHLD", "SIGSTOP", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const) {
      const [pid = 0] = await settledPids(socket);
      const load = await StoreLoad.start(socket, CLIENTS, SEED);
      const update = updateStore(socket, { binary: builtBinary(), way });
      await Bun.sleep(random() * MOMENT_MS_MAX);
      // Of those that have no handler yet, one that serves nobody may end.
      const others = pidsOf(socket).filter((other) => other !== pid);
      const isHarmless = name === "SIGCHLD" || name === "SIGSTOP" || way === "promote";
      for (const one of isHarmless ? [pid, ...others] : others) signal(one, name);
      await Bun.sleep(random() * 20);
      for (const one of pidsOf(socket)) signal(one, "SIGCONT");
      const { kind } = await update;
      if (name === "SIGCHLD" || name === "SIGSTOP") expect([name, kind]).toEqual([name, "updated"]);
      expect(await settledPids(socket)).toHaveLength(1);
      await load.stop(SETTLE_MS);
      expect(load.mistakes).toEqual([]);
      expect(load.closed).toBe(0);
    }
  },
  TIMEOUT_MS,
);
