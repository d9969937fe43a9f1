// A daemon whose everything goes to another one between two requests: real sockets, a ring by files,
// in one process.

import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  type ClientParts,
  EVENT_TIMEOUT_MS,
  FileHypervisor,
  StoreDaemon,
} from "../../lib/store-daemon/index.ts";
import {
  createGrowingMemory,
  duplicate,
  type Fd,
  Loop,
  makeSocketPair,
  mapGrowingMemory,
  sendNow,
  receiveNow,
  reserve,
} from "../../lib/sys/index.ts";
import { adoptStore, formatStore, type StoreMemory } from "../../lib/xenstore/index.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { Inbox, type Message, messageBytes, OP, type OpName } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const memory = reserve(64 * 1024);
const TURN_MS = 20;

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

/** Lets the daemon do what there is to do. */
async function turns(loop: Loop): Promise<void> {
  loop.after(TURN_MS, () => loop.stop());
  await loop.run();
}

function daemonOn(arena: StoreMemory, shim: string, isNew: boolean) {
  const loop = stack.use(new Loop());
  const hypervisor = stack.use(new FileHypervisor(shim, undefined));
  const options = { privilegedDomid: 0, storeDomid: 0, seed: 1, quotas: {}, keepOrphans: false };
  const daemon = new StoreDaemon({
    loop,
    hypervisor,
    memory: arena,
    openStore: (where, host) =>
      isNew ? formatStore(where, host, options) : adoptStore(where, host),
    ownDomid: 0,
    eventTimeoutMs: EVENT_TIMEOUT_MS,
    control: () => ({ error: "EINVAL" }),
    log: () => undefined,
    logging: () => undefined,
    logSwitches: () => undefined,
  });
  return { loop, daemon };
}

class Peer {
  private readonly fd: Fd;
  private readonly inbox = new Inbox();
  constructor(fd: Fd) {
    this.fd = stack.use(fd);
  }
  send(bytes: Uint8Array): void {
    memory.bytes.set(bytes);
    expect(sendNow(this.fd.number, memory.address, bytes.length)).toBe(bytes.length);
  }
  messages(): Message[] {
    const got = receiveNow(this.fd.number, memory.address, memory.length);
    if (got > 0) this.inbox.add(memory.bytes.slice(0, got));
    const all: Message[] = [];
    for (let next = this.inbox.take(); next !== undefined; next = this.inbox.take()) all.push(next);
    return all;
  }
}

const request = (op: OpName, number: number, body: string): Uint8Array =>
  messageBytes({ type: OP[op], request: number, transaction: 0, body });

test("nothing is lost: half a request, a watch, answers nobody has read, a guest", async () => {
  const { path: shim } = stack.use(temporaryFolder());
  const arena = stack.use(createGrowingMemory("first", 1024 * 1024));
  const first = daemonOn(arena, shim, true);
  first.daemon.introduceOwn();
  first.daemon.resume();
  const [near, far] = makeSocketPair("stream");
  first.daemon.accept(far);
  const peer = new Peer(near);
  makeDomain(shim, 7);
  peer.send(request("INTRODUCE", 1, "7\x001\x005\0"));
  peer.send(request("WATCH", 2, "/w\0token\0"));
  const halved = request("WRITE", 3, "/w\0value");
  peer.send(halved.subarray(0, 20));
  await turns(first.loop);
  expect(peer.messages().map(({ type }) => type)).toEqual([OP.INTRODUCE, OP.WATCH, OP.WATCH_EVENT]);
  const guest = stack.use(new StoreGuest(shim, 7));
  guest.put(request("GET_DOMAIN_PATH", 9, "7\0"));
  first.daemon.pause();
  await turns(first.loop); // Nobody serves now.
  const digest = first.daemon.store.digest();
  const { clients } = first.daemon.parts();
  expect(clients.map(({ kind, input }) => [kind, input.length])).toEqual([
    ["ring", 0],
    ["socket", 20],
    ["ring", 0],
  ]);

  const copy = stack.use(mapGrowingMemory(duplicate(arena.fd.number, "copy")));
  const second = daemonOn(copy, shim, false);
  expect(second.daemon.store.digest()).toBe(digest);
  const carried = clients.map((part): ClientParts => {
    const socket = part.socket && duplicate(part.socket.number, "carried");
    return { ...part, socket };
  });
  second.daemon.adopt(carried, true);
  second.daemon.resume();
  peer.send(halved.subarray(20));
  await turns(second.loop);
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
  const first = daemonOn(arena, shim, true);
  first.daemon.introduceOwn();
  first.daemon.resume();
  const [near, far] = makeSocketPair("stream");
  first.daemon.accept(far);
  const peer = new Peer(near);
  peer.send(request("WRITE", 0, `/big\0${"x".repeat(3000)}`));
  const count = 400;
  for (let sent = 0; sent < count; sent++) {
    peer.send(request("READ", sent, "/big\0"));
    if (sent % 50 === 0) await turns(first.loop);
  }
  await turns(first.loop);
  first.daemon.pause();
  const { clients } = first.daemon.parts();
  const owed = clients.find(({ kind }) => kind === "socket")!;
  expect(owed.output.length).toBeGreaterThan(owed.sentBytes);
  const copy = stack.use(mapGrowingMemory(duplicate(arena.fd.number, "copy")));
  const second = daemonOn(copy, shim, false);
  second.daemon.adopt(
    clients.map((part) => {
      return { ...part, socket: part.socket && duplicate(part.socket.number, "carried") };
    }),
    true,
  );
  second.daemon.resume();
  const got: Message[] = [];
  for (let round = 0; round < 100 && got.length <= count; round++) {
    got.push(...peer.messages());
    await turns(second.loop);
  }
  const [, ...answers] = got;
  expect(answers.map((answer) => answer.request)).toEqual(
    Array.from({ length: count }, (_, index) => index),
  );
  expect(answers.every(({ body }) => body === "x".repeat(3000))).toBe(true);
}, 60_000);
