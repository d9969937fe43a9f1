// Guests on their rings: connected anew, ignored for what they do, forgetful of their events, gone.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createGrowingMemory } from "../../lib/sys/index.ts";
import { endDomain, makeDomain, markDomain, RING, StoreGuest } from "../helpers/store-guest.ts";
import { DaemonHere, type PeerHere, request } from "../helpers/store-in-process.ts";
import { messageBytes, OP } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const EVENT_TIMEOUT_MS = 300;
const AFTER_TIMEOUT_MS = 2500;

let stack: DisposableStack;
let shim: string;
let here: DaemonHere;
let tools: PeerHere;
let guest: StoreGuest;

beforeEach(async () => {
  stack = new DisposableStack();
  shim = stack.use(temporaryFolder()).path;
  const arena = stack.use(createGrowingMemory("store", 1024 * 1024));
  const options = { arena, shim, isNew: true, eventTimeoutMs: EVENT_TIMEOUT_MS };
  here = stack.use(new DaemonHere(options));
  here.daemon.resume();
  tools = stack.use(here.connect());
  makeDomain(shim, 7);
  await told(request("INTRODUCE", 1, "7\x001\x005\0"));
  await told(request("MKDIR", 1, "/local/domain/7\0"));
  await told(request("SET_PERMS", 1, "/local/domain/7\0n7\0"));
  guest = stack.use(new StoreGuest(shim, 7));
});
afterEach(() => stack.dispose());

async function told(bytes: Uint8Array): Promise<string[]> {
  tools.send(bytes);
  await here.turns();
  return tools.messages().map(({ body }) => body);
}

async function guestTold(bytes: Uint8Array): Promise<string[]> {
  guest.put(bytes);
  await here.turns();
  return heard();
}

function heard(): string[] {
  guest.drain();
  const bodies: string[] = [];
  for (let next = guest.take(); next !== undefined; next = guest.take()) bodies.push(next.body);
  return bodies;
}

test("the page says what is offered: reconnection, errors, watch depth, anybody", () => {
  expect([guest.field(RING.features), guest.field(RING.error)]).toEqual([15, 0]);
});

test("a guest that connects anew begins with nothing: empty rings, no watches", async () => {
  expect(await guestTold(request("WATCH", 1, "a\0token\0"))).toEqual(["OK\0", "a\0token\0"]);
  guest.put(request("WRITE", 2, "half").subarray(0, 18));
  await here.turns();
  guest.setField(RING.connection, 1);
  guest.notify();
  await here.turns();
  expect(guest.field(RING.connection)).toBe(0);
  for (const at of [RING.requestsProduced, RING.requestsConsumed, RING.responsesProduced]) {
    expect(guest.field(at)).toBe(0);
  }
  guest.setField(RING.responsesConsumed, 0);
  expect(await guestTold(request("WRITE", 3, "a\0value"))).toEqual(["OK\0"]);
});

test.each([
  ["a message that is none", 3, () => guest.put(messageBytes({ ...NONE, type: OP.READ }, 5000))],
  [
    "counters that are impossible",
    2,
    () => {
      guest.setField(RING.requestsProduced, guest.field(RING.requestsProduced) + 5000);
      guest.notify();
    },
  ],
])("%s: its ring tells error %d; RELEASE and INTRODUCE make it whole", async (_, error, offend) => {
  expect(await guestTold(request("WATCH", 1, "a\0token\0"))).toHaveLength(2);
  offend();
  await here.turns();
  expect(guest.field(RING.error)).toBe(error);
  expect(await told(request("READ", 2, "/tool\0"))).toEqual([""]); // The others are served.
  expect(await told(request("WRITE", 2, "/local/domain/7/a\0x"))).toEqual(["OK\0"]);
  expect(heard()).toEqual([]); // Its watches are gone.
  expect(await told(request("IS_DOMAIN_INTRODUCED", 3, "7\0"))).toEqual(["T\0"]);
  expect(await told(request("RELEASE", 4, "7\0"))).toEqual(["OK\0"]);
  makeDomain(shim, 7);
  expect(await told(request("INTRODUCE", 5, "7\x001\x005\0"))).toEqual(["OK\0"]);
  guest = stack.use(new StoreGuest(shim, 7));
  const path = await guestTold(request("GET_DOMAIN_PATH", 6, "7\0"));
  expect(path).toEqual(["/local/domain/7\0"]);
});
const NONE = { request: 1, transaction: 0, body: "a\0" };

test("events that a guest does not take go after a while; its answers stay", async () => {
  await guestTold(request("WATCH", 1, "a\0token\0"));
  for (let round = 0; round < 200; round++) {
    if (round === 100) guest.put(request("GET_DOMAIN_PATH", 2, "7\0")); // The ring is full by now.
    await told(request("WRITE", round, `/local/domain/7/a/${"x".repeat(50)}${round}\0v`));
  }
  const before = here.daemon.parts().clients.find(({ domid }) => domid === 7)!.output.length;
  await here.turns(AFTER_TIMEOUT_MS);
  const after = here.daemon.parts().clients.find(({ domid }) => domid === 7)!.output.length;
  expect(before).toBeGreaterThan(5000);
  expect(after).toBeLessThan(200);
  const got: string[] = [];
  for (let round = 0; round < 20; round++) {
    got.push(...heard());
    await here.turns();
  }
  expect(got.at(-1)).toBe("/local/domain/7\0");
  expect(await guestTold(request("READ", 3, "a\0"))).toEqual([""]);
}, 20_000);

test("its shutdown and its end are told to those who watch for them, each once", async () => {
  await told(request("WATCH", 1, "@releaseDomain\0t\0"));
  markDomain(shim, 7, "shut");
  await here.turns();
  markDomain(shim, 7, "shut");
  await here.turns();
  expect(tools.messages().map(({ body }) => body)).toEqual(["@releaseDomain\0t\0"]);
  expect(await told(request("IS_DOMAIN_INTRODUCED", 2, "7\0"))).toEqual(["T\0"]);
  endDomain(shim, 7);
  await here.turns();
  expect(tools.messages().map(({ body }) => body)).toEqual(["@releaseDomain\0t\0"]);
  expect(await told(request("IS_DOMAIN_INTRODUCED", 3, "7\0"))).toEqual(["F\0"]);
  expect(await told(request("READ", 4, "/local/domain/7\0"))).toEqual(["ENOENT\0"]);
});

test.each([1, 16, 17])(
  "what comes behind %d bytes of a request comes without an event, and is found",
  async (first) => {
    const bytes = request("GET_DOMAIN_PATH", 1, "7\0");
    for (let round = 0; round < 3; round++) {
      expect(await guestTold(bytes.subarray(0, first))).toEqual([]);
      guest.put(bytes.subarray(first));
      const got: string[] = [];
      for (let turn = 0; turn < 100 && got.length === 0; turn++) {
        await here.turns();
        got.push(...heard());
      }
      expect(got).toEqual(["/local/domain/7\0"]);
    }
  },
);

test("a request that comes without an event is found when the rings are looked at", async () => {
  const bytes = request("GET_DOMAIN_PATH", 1, "7\0");
  guest.page.set(bytes, (guest.field(RING.requestsProduced) % 1024) + RING.requests);
  guest.setField(RING.requestsProduced, guest.field(RING.requestsProduced) + bytes.length);
  await here.turns();
  expect(heard()).toEqual([]);
  here.daemon.lookAtRings();
  await here.turns(); // Whatever wakes it: the end of its sleep at the latest.
  expect(heard()).toEqual(["/local/domain/7\0"]);
});
