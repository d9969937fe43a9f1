// The store daemon replaced while clients use it: every reply and event is accounted for.

import { linkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { builtBinary } from "../helpers/binary.ts";
import { countAtRest, descriptorsOf } from "../helpers/echo-process.ts";
import { unitRandom } from "../helpers/pieces.ts";
import { StoreLoad } from "../helpers/store-load.ts";
import { endDomain, makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import type { StoreDaemon } from "../helpers/store-peers.ts";
import { startServe } from "../helpers/store-serve.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import {
  controlOf,
  killAll,
  killOne,
  pidsOf,
  settledPids,
  updateStore,
} from "../helpers/store-update.ts";

const UPDATES = 10;
const CLIENTS = 16;
const KILLS = 8;
const SETTLED_MS = 100;
const TIMEOUT_MS = 120_000;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

let daemon: StoreDaemon;
// It builds the binary, should it be older than the sources.
beforeEach(() => void (daemon = startServe({ program: "binary", words: [] })), TIMEOUT_MS);
afterEach(() => {
  killAll(daemon.socket);
  daemon[Symbol.dispose]();
});

test.each([
  ["promote", ["promote"]],
  ["in place", ["in-place"]],
  ["both ways mixed", ["promote", "in-place"]],
] as const)(
  `${UPDATES} updates under load, %s: no reply and no event lost, twice or wrong (SEED=${SEED})`,
  async (_, ways) => {
    const { socket } = daemon;
    const [first = 0] = await settledPids(socket);
    await Bun.sleep(SETTLED_MS); // Whoever has just asked has gone.
    const before = await countAtRest(first);
    const load = await StoreLoad.start(socket, CLIENTS, SEED);
    for (let update = 0; update < UPDATES; update++) {
      const way = ways[update % ways.length]!; // The index is below the length.
      const outcome = await updateStore(socket, { binary: builtBinary(), way });
      expect(outcome).toMatchObject({ kind: "updated", report: { generation: update + 1 } });
    }
    await load.stop(20_000);
    expect(load.mistakes).toEqual([]);
    expect(load.closed).toBe(0);
    expect(load.commits).toBeGreaterThan(0);
    const pids = await settledPids(socket);
    expect(pids.length).toBe(1);
    if (!(ways as readonly string[]).includes("promote")) expect(pids).toEqual([first]);
    const untilMs = performance.now() + 5000;
    while (performance.now() < untilMs && descriptorsOf(pids[0]!).length !== before) {
      await Bun.sleep(10);
    }
    expect(descriptorsOf(pids[0]!).length).toBe(before);
  },
  TIMEOUT_MS,
);

test.each(["promote", "in-place"] as const)(
  "%s: a request in part, answers nobody has read, a transaction and its id go over",
  async (way) => {
    const { socket } = daemon;
    using client = new StoreSocket(socket);
    client.ask("WRITE", "/a\x00before", 0);
    const transaction = Number.parseInt(client.ask("TRANSACTION_START", "\0", 0)!.body, 10);
    expect(client.ask("WRITE", "/a\0within", transaction)!.body).toBe("OK\0");
    for (let count = 0; count < 1000; count++) client.send("DIRECTORY", "/\0", 0);
    // A header and half of its payload.
    const half = Buffer.from("0b0000000a00000000000000080000002f62", "hex");
    client.sendBytes(half);
    const outcome = await updateStore(socket, { binary: builtBinary(), way });
    expect(outcome.kind).toBe("updated");
    for (let count = 0; count < 1000; count++) {
      expect(client.receive(10_000)!.body).toContain("tool\0");
    }
    client.sendBytes(Buffer.from("\0after"));
    expect(client.receive(10_000)!.body).toBe("OK\0");
    expect(client.ask("READ", "/b\0", 0)!.body).toBe("after");
    expect(client.ask("READ", "/a\0", 0)!.body).toBe("before");
    expect(client.ask("TRANSACTION_END", "T\0", transaction)!.body).toBe("OK\0");
    expect(client.ask("READ", "/a\0", 0)!.body).toBe("within");
    const next = Number.parseInt(client.ask("TRANSACTION_START", "\0", 0)!.body, 10);
    expect(next).not.toBe(transaction);
  },
  TIMEOUT_MS,
);

test.each(["promote", "in-place"] as const)(
  "%s: a guest's ring, a request in part on it, its watch and transaction, SET_TARGET go over",
  async (way) => {
    const { socket, shim } = daemon;
    using client = new StoreSocket(socket);
    for (const domid of [7, 8]) {
      makeDomain(shim, domid);
      expect(client.ask("INTRODUCE", `${domid}\x001\x001\0`, 0)!.body).toBe("OK\0");
    }
    for (const path of ["/local/domain/7", "/local/domain/8"]) {
      client.ask("MKDIR", `${path}\0`, 0);
      client.ask("SET_PERMS", `${path}\0n${path.slice(-1)}\0`, 0);
    }
    expect(client.ask("SET_TARGET", "7\x008\0", 0)!.body).toBe("OK\0");
    using guest = new StoreGuest(shim, 7);
    expect(guest.ask("WATCH", "device\0token\0", 0)!.body).toBe("OK\0");
    expect(guest.ask("MKDIR", "device\0", 0)!.body).toBe("OK\0");
    const transaction = Number.parseInt(guest.ask("TRANSACTION_START", "\0", 0)!.body, 10);
    expect(guest.ask("WRITE", "device/a\0x", transaction)!.body).toBe("OK\0");
    // A WRITE of "data" without the last byte.
    guest.sendBytes(
      Buffer.from("0b000000630000000000000006000000646174610079".slice(0, -2), "hex"),
    );
    guest.events.length = 0;
    const outcome = await updateStore(socket, { binary: builtBinary(), way });
    expect(outcome).toMatchObject({ kind: "updated" });
    guest.sendBytes(Buffer.from("y"));
    expect(guest.reply(0)!.body).toBe("OK\0");
    expect(guest.ask("READ", "data\0", 0)!.body).toBe("y");
    expect(guest.ask("TRANSACTION_END", "T\0", transaction)!.body).toBe("OK\0");
    expect(guest.ask("READ", "device/a\0", 0)!.body).toBe("x");
    expect(guest.events.map(({ body }) => body)).toEqual(["device/a\0token\0"]);
    // It may still do what domain 8 may.
    expect(guest.ask("WRITE", "/local/domain/8/by\x007", 0)!.body).toBe("OK\0");
    // And its end is still seen.
    expect(client.ask("WATCH", "@releaseDomain\0gone\0", 0)!.body).toBe("OK\0");
    expect(client.receive(10_000)?.body).toBe("@releaseDomain\0gone\0"); // Set.
    endDomain(shim, 7);
    expect(client.receive(10_000)?.body).toBe("@releaseDomain\0gone\0"); // Fired.
    expect(client.ask("IS_DOMAIN_INTRODUCED", "7\0", 0)!.body).toBe("F\0");
  },
  TIMEOUT_MS,
);

test(
  "the stock session, word by word",
  async () => {
    const { socket } = daemon;
    const binary = builtBinary();
    const ask = (...words: string[]) => controlOf(socket, "live-update", ...words);
    expect(await ask("-s")).toBe("Not in live-update session.");
    expect(await ask("-c", "x")).toBe("Not in live-update session.");
    expect(await ask("-a")).toBe("No live-update session active.");
    expect(await ask("-f", "/absent")).toBe("File not accessible.");
    expect(await ask("-f", "/etc/passwd")).toBe("File not executable.");
    using client = new StoreSocket(socket);
    const control = (...words: string[]): string =>
      client.ask("CONTROL", ["live-update", ...words, ""].join("\0"), 0)!.body;
    expect(control("-f", binary)).toBe("OK\0");
    expect(control("-f", binary)).toBe("live-update session already active.\0");
    expect(await ask("-s")).toBe("Not in live-update session.");
    expect(control("-s", "-v", "3")).toBe("Migration stream version not supported.\0");
    expect(control("-s", "-x")).toBe("EINVAL\0");
    expect(control("-s", "-t", "30", "-F", "-v", "1")).toBe("OK\0");
    // It is answered once, and the session is over.
    expect(control("-s")).toBe("Not in live-update session.\0");
    const status = JSON.parse((await ask("--status"))!) as { generation: number };
    expect(status.generation).toBe(1);
  },
  TIMEOUT_MS,
);

test(
  "a new program that is another one is refused, and the store goes on",
  async () => {
    const { socket, run } = daemon;
    const link = join(run, "agent");
    linkSync("/bin/true", link);
    for (const way of ["promote", "in-place"] as const) {
      const outcome = await updateStore(socket, { binary: link, way });
      expect(outcome).toMatchObject({
        kind: "failed",
        reason: expect.stringContaining("live-update-probe"),
      });
    }
    using client = new StoreSocket(socket);
    expect(client.ask("DIRECTORY", "/\0", 0)!.body).toContain("tool\0");
  },
  TIMEOUT_MS,
);

test.each(["promote", "in-place"] as const)(
  `%s, the other process ended at any moment (SEED=${SEED}): nobody is answered wrongly`,
  async (way) => {
    const { socket } = daemon;
    const random = unitRandom(SEED);
    for (let attempt = 0; attempt < KILLS; attempt++) {
      const load = await StoreLoad.start(socket, CLIENTS, SEED + attempt);
      const [pid = 0] = await settledPids(socket);
      const update = updateStore(socket, { binary: builtBinary(), way }).catch(() => undefined);
      const untilMs = performance.now() + 5000;
      let others: number[] = [];
      while (others.length === 0 && performance.now() < untilMs) {
        others = pidsOf(socket).filter((other) => other !== pid);
        await Bun.sleep(1);
      }
      await Bun.sleep(random() * 60);
      const outcome = await Promise.race([update, Bun.sleep(0).then(() => "runs")]);
      // One that has served already, its predecessor gone, is a daemon like any other.
      if (outcome === "runs") for (const other of others) killOne(other);
      await update;
      const pids = await settledPids(socket);
      await load.stop(20_000);
      expect(load.mistakes).toEqual([]);
      if (pids.length === 0) return; // It had just taken over, and the old one had left.
      expect(pids.length).toBe(1);
      using client = new StoreSocket(socket);
      expect(client.ask("CONTROL", "check\0", 0)!.body).toBe("OK\0");
    }
  },
  TIMEOUT_MS,
);
