// The store daemon killed, and started again by a manager that has kept its descriptors: idle
// connections and rings go on, nothing that was acknowledged is lost, nothing is answered twice.

import { describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { builtBinary } from "../helpers/binary.ts";
import { descriptorsOf } from "../helpers/echo-process.ts";
import { unitRandom } from "../helpers/pieces.ts";
import { agentCommand } from "../helpers/run.ts";
import { ServiceManager } from "../helpers/service-manager.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { pidsOf, settledPids, updateStore } from "../helpers/store-update.ts";
import { OP } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const KILLS = Number(process.env.KILLS ?? 20);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** So many rounds use connections that were made, and stored, at one time. */
const ROUNDS_PER_BATCH = 20;
const WRITERS_PER_ROUND = 4;
const WRITES = 20;
const IDLE = 8;
const MOMENT_MS_MAX = 4;
const TIMEOUT_MS = 120_000;

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => void child.on("exit", resolve));

/** A folder, a service manager, and a daemon whose files are all in there. */
function setUp(tellsNames: boolean) {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder());
  const manager = stack.use(new ServiceManager());
  const [socket, shim] = [join(folder.path, "s"), join(folder.path, "shim")];
  const command = agentCommand("store", "serve", "--socket", socket, "--hypervisor", shim);
  let child: ChildProcess;
  const clients: StoreSocket[] = [];
  const start = (): void => {
    manager.takeAll();
    child = manager.start(command, {}, tellsNames);
    manager.waitFor("READY=1");
    manager.waitFor("FDNAME=listen");
  };
  start();
  return {
    socket,
    shim,
    manager,
    pid: (): number => child.pid!,
    clients,
    connect(): StoreSocket {
      const client = stack.use(new StoreSocket(socket));
      clients.push(client);
      return client;
    },
    kill(): Promise<number | null> {
      const end = ended(child);
      child.kill("SIGKILL");
      return end;
    },
    start,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const begin = (client: StoreSocket): number =>
  Number.parseInt(client.ask("TRANSACTION_START", "\0", 0)!.body, 10);

describe.each([
  ["a manager that knows names", true],
  ["one that knows none", false],
])("%s", (_, tellsNames) => {
  test(
    "idle clients go on, with watches and transactions; the others are hung up",
    async () => {
      using place = setUp(tellsNames);
      const { manager } = place;
      const watching = place.connect();
      const writing = place.connect();
      const halfway = place.connect();
      const deaf = place.connect();
      const last = place.connect();
      watching.ask("WATCH", "/watched\0token\0", 0);
      writing.ask("WRITE", "/node\0before", 0);
      const transaction = begin(writing);
      writing.ask("WRITE", "/node\0within", transaction);
      halfway.ask("WATCH", "/watched\0half\0", 0);
      manager.waitForClients(5);
      const young = place.connect();
      young.ask("WRITE", "/young\0x", 0);
      halfway.sendBytes(Buffer.from("0b0000000a00000000000000080000002f62", "hex"));
      for (let count = 0; count < 20_000; count++) deaf.send("DIRECTORY", "/\0", 0);
      expect(last.ask("WRITE", "/last\0acknowledged", 0)?.body).toBe("OK\0");
      last.ask("READ", "/last\0", 0);
      await place.kill();
      // Nobody serves: it waits.
      const asked = writing.send("READ", "/node\0", transaction);
      place.start();
      expect(writing.reply(asked)?.body).toBe("within");
      expect(writing.ask("WRITE", "/watched/now\0x", 0)?.body).toBe("OK\0");
      expect(writing.ask("TRANSACTION_END", "T\0", transaction)?.body).toBe("OK\0");
      expect(writing.ask("READ", "/node\0", 0)?.body).toBe("within");
      expect(writing.ask("READ", "/last\0", 0)?.body).toBe("acknowledged");
      expect(begin(writing)).toBeGreaterThan(transaction);
      expect(watching.ask("READ", "/watched/now\0", 0)?.body).toBe("x");
      expect(watching.events.map(({ body }) => body)).toEqual([
        "/watched\0token\0",
        "/watched/now\0token\0",
      ]);
      for (const client of [halfway, young]) {
        expect(client.receive(10_000)?.body).toBe(
          client === halfway ? "/watched\0half\0" : undefined,
        );
        expect([client.receive(10_000), client.isClosed]).toEqual([undefined, true]);
      }
      while (deaf.receive(10_000) !== undefined);
      expect(deaf.isClosed).toBe(true);
      expect(writing.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
    },
    TIMEOUT_MS,
  );
});

/** What a round's writers were told, and what they had asked for. */
interface Burst {
  readonly client: StoreSocket;
  readonly name: string;
  /** Numbers of requests, in order. */
  readonly asked: readonly number[];
}

/** Takes answers until all are there or the daemon has hung up; how many came. */
function answersOf({ client, asked, name }: Burst): number {
  let count = 0;
  for (; count < asked.length; count++) {
    const message = client.receive(20_000);
    if (message === undefined) {
      if (client.isClosed) break;
      throw new Error(`${name}: request ${count} was neither answered nor hung up on`);
    }
    expect([name, message.request, message.body]).toEqual([name, asked[count]!, "OK\0"]);
  }
  return count;
}

describe("under load", () => {
  test(
    `${KILLS} kills: nothing acknowledged is lost, nothing answered twice, idle ones go on ` +
      `(SEED=${SEED})`,
    async () => {
      const random = unitRandom(SEED);
      using place = setUp(true);
      const { manager } = place;
      const before = ["/memfd:xenstore (deleted)", join(place.shim, "evtchn"), "socket"];
      const connect = (count: number): StoreSocket[] =>
        Array.from({ length: count }, place.connect);
      const idle = connect(IDLE).map((client) => {
        client.ask("WATCH", "/quiet\0token\0", 0);
        const transaction = begin(client);
        client.ask("WRITE", `/private/${transaction}\0mine`, transaction);
        return { client, transaction };
      });
      let fresh: StoreSocket[] = [];
      let hungUp = 0;
      for (let round = 0; round < KILLS; round++) {
        if (round % ROUNDS_PER_BATCH === 0) {
          for (const client of fresh) client[Symbol.dispose]();
          manager.takeAll();
          const others = round === 0 ? [] : [...manager.stored.keys()];
          fresh = connect(Math.min(ROUNDS_PER_BATCH, KILLS - round) * (WRITERS_PER_ROUND + 2));
          manager.waitForClients(fresh.length + (round === 0 ? IDLE : 0), others);
        }
        const [watcher, reader, ...writers] = fresh.splice(0, WRITERS_PER_ROUND + 2);
        watcher!.ask("WATCH", `/w/${round}\0token\0`, 0);
        const bursts = writers.map((client, index): Burst => {
          const name = `/w/${round}/${index}`;
          const ask = (_: unknown, count: number): number =>
            client.send("WRITE", `${name}-${count}\0${count}`, 0);
          return { client, name, asked: Array.from({ length: WRITES }, ask) };
        });
        await Bun.sleep(random() * MOMENT_MS_MAX);
        await place.kill();
        place.start();
        const there = nodesBelow(place.connect(), `/w/${round}`);
        const answered = bursts.map(answersOf);
        const wanted = bursts.flatMap(({ name }, index) =>
          Array.from({ length: answered[index]! }, (_, count) => `${name}-${count}`),
        );
        const all = nodesBelow(place.connect(), `/w/${round}`);
        expect(wanted.filter((name) => !all.has(name))).toEqual([]);
        for (const { name } of bursts) expectPrefix(there, name);
        hungUp += bursts.filter(({ client }) => client.isClosed).length;
        expect(reader!.ask("READ", "/tool\0", 0)?.body).toBe("");
        expectAllEvents(watcher!, all, `/w/${round}`);
      }
      for (const { client, transaction } of idle) {
        expect(client.ask("READ", `/private/${transaction}\0`, transaction)?.body).toBe("mine");
        expect(client.ask("TRANSACTION_END", "T\0", transaction)?.body).toMatch(/^(OK|EAGAIN)\0$/);
      }
      idle[0]!.client.ask("WRITE", "/quiet/now\0x", 0);
      for (const { client } of idle) {
        client.ask("READ", "/quiet/now\0", 0);
        expect(client.events.map(({ body }) => body)).toEqual([
          "/quiet\0token\0",
          "/quiet/now\0token\0",
        ]);
      }
      expect(hungUp).toBeGreaterThan(0);
      for (const client of place.clients) client[Symbol.dispose]();
      const untilMs = performance.now() + 10_000;
      const open = (): string[] => keptBy(place.pid());
      while (performance.now() < untilMs && !Bun.deepEquals(open(), before)) await Bun.sleep(10);
      expect(open()).toEqual(before);
    },
    TIMEOUT_MS,
  );
});

/** What of a program's descriptors a manager keeps, or clients have the other end of. */
const keptBy = (pid: number): string[] =>
  descriptorsOf(pid)
    .map((target) => target.replace(/^socket:.*/, "socket"))
    .filter((target) => /^socket|^\/memfd:xenstore|evtchn$/.test(target));

function nodesBelow(client: StoreSocket, path: string): Set<string> {
  const { body, type } = client.ask("DIRECTORY", `${path}\0`, 0)!;
  client[Symbol.dispose]();
  if (type === OP.ERROR) return new Set();
  return new Set(
    body
      .split("\0")
      .slice(0, -1)
      .map((name) => `${path}/${name}`),
  );
}

/** The requests of one client are carried out in their order. */
function expectPrefix(there: ReadonlySet<string>, name: string): void {
  const found = Array.from({ length: WRITES }, (_, count) => there.has(`${name}-${count}`));
  const missing = found.indexOf(false);
  expect(missing === -1 || !found.includes(true, missing)).toBe(true);
}

/** Who was not hung up has been told of every node once. */
function expectAllEvents(watcher: StoreSocket, all: ReadonlySet<string>, path: string): void {
  if (watcher.ask("READ", "/tool\0", 0) === undefined) return;
  const told = watcher.events
    .map(({ body }) => body.split("\0")[0]!)
    .filter((name) => name !== path);
  expect(told.toSorted()).toEqual([...all].toSorted());
}

describe("a guest's ring", () => {
  test(
    `${KILLS} kills in the middle of its requests: each is answered, and once (SEED=${SEED})`,
    async () => {
      const random = unitRandom(SEED);
      using place = setUp(true);
      makeDomain(place.shim, 7);
      {
        using tools = new StoreSocket(place.socket);
        tools.ask("INTRODUCE", "7\x001\x005\0", 0);
        tools.ask("MKDIR", "/local/domain/7\0", 0);
        tools.ask("SET_PERMS", "/local/domain/7\0n7\0", 0);
      }
      using guest = new StoreGuest(place.shim, 7);
      const written: string[] = [];
      for (let round = 0; round < KILLS; round++) {
        const asked = Array.from({ length: 1 + Math.floor(random() * 12) }, (_, index) => {
          written.push(`${round}-${index}`);
          return guest.send("WRITE", `n/${round}-${index}\0${"x".repeat(index)}`, 0);
        });
        await Bun.sleep(random() * MOMENT_MS_MAX);
        await place.kill();
        place.start();
        for (const request of asked) {
          const reply = guest.reply(request);
          expect([round, reply?.request, reply?.body]).toEqual([round, request, "OK\0"]);
        }
      }
      const { body } = guest.ask("DIRECTORY", "n\0", 0)!;
      expect(body.split("\0").slice(0, -1).toSorted()).toEqual(written.toSorted());
    },
    TIMEOUT_MS,
  );

  test(
    "goes on, and what the guest asks while nobody serves is answered",
    async () => {
      using place = setUp(true);
      const { shim } = place;
      makeDomain(shim, 7);
      using tools = new StoreSocket(place.socket);
      tools.ask("INTRODUCE", "7\x001\x005\0", 0);
      tools.ask("WRITE", "/local/domain/7\0", 0);
      tools.ask("SET_PERMS", "/local/domain/7\0n7\0", 0);
      using guest = new StoreGuest(shim, 7);
      guest.ask("WATCH", "name\0token\0", 0);
      const transaction = Number.parseInt(guest.ask("TRANSACTION_START", "\0", 0)!.body, 10);
      guest.ask("WRITE", "name\0web", transaction);
      expect([...place.manager.stored.keys()]).toContain("events");
      for (const round of [1, 2, 3]) {
        tools.ask("IS_DOMAIN_INTRODUCED", "7\0", 0);
        await place.kill();
        const asked = guest.send("READ", "name\0", transaction);
        place.start();
        expect([round, guest.reply(asked)?.body]).toEqual([round, "web"]);
      }
      expect(guest.ask("TRANSACTION_END", "T\0", transaction)?.body).toBe("OK\0");
      expect(guest.reply(guest.send("READ", "name\0", 0))?.body).toBe("web");
      expect(guest.events.map(({ body }) => body)).toEqual(["name\0token\0", "name\0token\0"]);
    },
    TIMEOUT_MS,
  );
});

test(
  "a live update goes on with the clients that are kept, and tells who serves",
  async () => {
    using place = setUp(true);
    const { manager } = place;
    const watching = place.connect();
    watching.ask("WATCH", "/watched\0token\0", 0);
    manager.waitForClients(1);
    const first = place.pid();
    const outcome = await updateStore(place.socket, { binary: builtBinary(), way: "promote" });
    expect(outcome.kind).toBe("updated");
    manager.waitFor("READY=1");
    const [second = 0] = await settledPids(place.socket);
    expect(second).not.toBe(first);
    const notes = manager.notes.map((note) => note.split("\n")[0]!);
    const told = notes
      .slice(notes.lastIndexOf("RELOADING=1"))
      .filter((note) => !note.startsWith("FD"));
    expect(told).toEqual(["RELOADING=1", `MAINPID=${second}`, "READY=1"]);
    manager.takeAll();
    const others = [...manager.stored.keys()]; // Perhaps also of whoever asked for the update.
    const later = place.connect();
    later.ask("WATCH", "/watched\0later\0", 0);
    manager.waitForClients(1, others);
    later.ask("READ", "/tool\0", 0);
    using last = new StoreSocket(place.socket);
    last.ask("READ", "/tool\0", 0);
    process.kill(second, "SIGKILL");
    while (pidsOf(place.socket).length > 0) await Bun.sleep(10);
    place.start();
    using writing = new StoreSocket(place.socket);
    writing.ask("WRITE", "/watched/now\0x", 0);
    for (const client of [watching, later]) {
      expect(client.ask("READ", "/watched/now\0", 0)?.body).toBe("x");
      expect(client.events.at(-1)?.body).toStartWith("/watched/now\0");
    }
  },
  TIMEOUT_MS,
);
