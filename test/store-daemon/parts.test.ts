// A daemon whose everything goes to another one between two requests: real sockets, a ring by
// files, in one process.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { UpdateReport } from "../../lib/handover/index.ts";
import type { ClientParts } from "../../lib/store-daemon/index.ts";
import { storeSurvivor } from "../../lib/store-daemon/live-survivor.ts";
import type { Running } from "../../lib/store-daemon/running.ts";
import { createGrowingMemory, duplicate, mapGrowingMemory } from "../../lib/sys/index.ts";
import { HEADER } from "../../lib/xenstore/layout.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { DaemonHere, request } from "../helpers/store-in-process.ts";
import { type Message, OP } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

/** As they come out of another program: descriptors of their own. */
const carried = (clients: readonly ClientParts[]): ClientParts[] =>
  clients.map((part) => {
    return { ...part, socket: part.socket && duplicate(part.socket.number, "carried") };
  });

test("nothing is lost: half a request, a watch, answers nobody has read, a guest", async () => {
  const { path: shim } = stack.use(temporaryFolder());
  const arena = stack.use(createGrowingMemory("first", 1024 * 1024));
  const first = stack.use(new DaemonHere({ arena, shim, isNew: true }));
  first.daemon.resume();
  const peer = stack.use(first.connect());
  makeDomain(shim, 7);
  peer.send(request("INTRODUCE", 1, "7\x001\x005\0"));
  peer.send(request("WATCH", 2, "/w\0token\0"));
  const halved = request("WRITE", 3, "/w\0value");
  peer.send(halved.subarray(0, 20));
  await first.turns();
  expect(peer.messages().map(({ type }) => type)).toEqual([OP.INTRODUCE, OP.WATCH, OP.WATCH_EVENT]);
  const guest = stack.use(new StoreGuest(shim, 7));
  guest.put(request("GET_DOMAIN_PATH", 9, "7\0"));
  first.daemon.pause();
  await first.turns(); // Nobody serves now.
  const digest = first.daemon.store.digest();
  const { clients } = first.daemon.parts();
  expect(clients.map(({ kind, input }) => [kind, input.length])).toEqual([
    ["ring", 0],
    ["socket", 20],
    ["ring", 0],
  ]);

  const copy = stack.use(mapGrowingMemory(duplicate(arena.fd.number, "copy")));
  const second = stack.use(new DaemonHere({ arena: copy, shim, isNew: false }));
  expect(second.daemon.store.digest()).toBe(digest);
  second.daemon.adopt(carried(clients), true);
  second.daemon.resume();
  peer.send(halved.subarray(20));
  await second.turns();
  expect(peer.messages()).toEqual([
    { type: OP.WATCH_EVENT, request: 0, transaction: 0, body: "/w\0token\0" },
    { type: OP.WRITE, request: 3, transaction: 0, body: "OK\0" },
  ]);
  guest.drain();
  expect(guest.take()).toEqual({
    type: OP.GET_DOMAIN_PATH,
    request: 9,
    transaction: 0,
    body: "/local/domain/7\0",
  });
}, 20_000);

test("a client whose answers did not all fit gets the rest from the next one", async () => {
  const { path: shim } = stack.use(temporaryFolder());
  const arena = stack.use(createGrowingMemory("first", 1024 * 1024));
  const first = stack.use(new DaemonHere({ arena, shim, isNew: true }));
  first.daemon.resume();
  const peer = stack.use(first.connect());
  peer.send(request("WRITE", 0, `/big\0${"x".repeat(3000)}`));
  const count = 400;
  for (let sent = 0; sent < count; sent++) {
    peer.send(request("READ", sent, "/big\0"));
    if (sent % 50 === 0) await first.turns();
  }
  await first.turns();
  first.daemon.pause();
  const { clients } = first.daemon.parts();
  const owed = clients.find(({ kind }) => kind === "socket")!;
  expect(owed.output.length).toBeGreaterThan(owed.sentBytes);
  const copy = stack.use(mapGrowingMemory(duplicate(arena.fd.number, "copy")));
  const second = stack.use(new DaemonHere({ arena: copy, shim, isNew: false }));
  second.daemon.adopt(carried(clients), true);
  second.daemon.resume();
  const got: Message[] = [];
  for (let round = 0; round < 100 && got.length <= count; round++) {
    got.push(...peer.messages());
    await second.turns();
  }
  const [, ...answers] = got;
  expect(answers.map((answer) => answer.request)).toEqual(
    Array.from({ length: count }, (_, index) => index),
  );
  expect(answers.every(({ body }) => body === "x".repeat(3000))).toBe(true);
}, 60_000);

test("a program that comes back to damaged memory serves on as well as it can", async () => {
  const { path: shim } = stack.use(temporaryFolder());
  const memory = stack.use(createGrowingMemory("damaged", 1024 * 1024));
  const here = stack.use(new DaemonHere({ arena: memory, shim, isNew: true }));
  const { daemon, loop, hypervisor } = here;
  daemon.resume();
  const [peer, other] = [stack.use(here.connect()), stack.use(here.connect())];
  for (const one of [peer, other]) one.send(request("WRITE", 1, "/a\0value"));
  await here.turns();
  peer.messages();
  const base = { loop, memory, hypervisor, listeners: [], pidFile: undefined, asker: undefined };
  const running: Running = { ...base, daemon };
  const survivor = storeSurvivor({
    running,
    makeDaemon: (_, open) => {
      open(memory, daemon);
      throw new Error("Damaged memory was adopted");
    },
    leave: () => undefined,
  });
  survivor.pause();
  new Int32Array(memory.buffer)[HEADER.firstConnection]! ^= 1 << 20;
  const touched = daemon.allClients().findLast(({ socket }) => socket !== undefined)!;
  const report = {} as UpdateReport;
  survivor.adoptAgain(new Set([touched.key]), { kind: "kept", reason: "", report });
  expect(here.log).toEqual([expect.stringContaining("serves on as well as it can")]);
  peer.send(request("READ", 2, "/a\0"));
  await here.turns();
  expect(peer.messages()).toMatchObject([{ type: OP.READ, body: "value" }]);
  expect(daemon.allClients()).not.toContain(touched);
});
