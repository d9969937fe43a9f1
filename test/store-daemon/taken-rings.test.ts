// Guests on their rings through a live update, in one process: the new program has them as the old
// one had, and the old one goes on where a new one that has served and died has left off.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { stateOfRunning } from "../../lib/store-daemon/stock-state.ts";
import { HandoverHere, refuseBind } from "../helpers/handover-here.ts";
import { unitRandom } from "../helpers/pieces.ts";
import { makeDomain, RING, StoreGuest } from "../helpers/store-guest.ts";
import { DaemonHere, type PeerHere, request } from "../helpers/store-in-process.ts";

const DOMID = 7;
const PATH = { body: `/local/domain/${DOMID}\0` };

let stack: DisposableStack;
let handover: HandoverHere;
let control: PeerHere;
let guest: StoreGuest;

async function begin(): Promise<void> {
  stack = new DisposableStack();
  handover = stack.use(new HandoverHere());
  control = stack.use(handover.first.connect());
  makeDomain(handover.shim, DOMID);
  control.send(request("INTRODUCE", 1, `${DOMID}\x001\x005\0`));
  await handover.first.turns();
  guest = stack.use(new StoreGuest(handover.shim, DOMID));
}
beforeEach(begin);
afterEach(() => stack.dispose());

const asked = (number: number): Uint8Array => request("GET_DOMAIN_PATH", number, `${DOMID}\0`);

test("a ring that cannot be mapped again ends the update, and not the guest", async () => {
  handover.standBy();
  handover.unmapped.add(DOMID);
  expect(() => handover.adopt(handover.changes())).toThrow("no ring can be had of domain 7");
  await handover.goOn();
  guest.put(asked(2));
  await handover.first.turns();
  guest.drain();
  expect(guest.take()).toMatchObject({ request: 2, ...PATH });
});

/** How many of the ring there are, the guest's among them. */
const mappings = (): number =>
  readFileSync("/proc/self/maps", "latin1").split(RING_FILE).length - 1;
const RING_FILE = `/ring.${DOMID}\n`;

test("an old program that goes on maps it anew, and gives up the page it had", async () => {
  const before = mappings();
  handover.standBy();
  handover.adopt(handover.changes());
  await handover.serve(false);
  handover.die();
  await handover.goOn();
  expect(before).toBeGreaterThan(0);
  expect(mappings()).toBe(before);
});

test("where it cannot map it either, it goes on with the page that it has", async () => {
  const { hypervisor } = handover.first;
  const before = mappings();
  handover.standBy();
  hypervisor.mapRing = refuseBind; // Any error of the kernel.
  handover.unmapped.add(DOMID);
  expect(() => handover.adopt(handover.changes())).toThrow("no ring can be had of domain 7");
  await handover.goOn();
  expect(mappings()).toBe(before);
  for (const number of [2, 3]) {
    guest.put(asked(number));
    // oxlint-disable-next-line no-await-in-loop -- by its event, the second time.
    await handover.first.turns();
    guest.drain();
    expect(guest.take()).toMatchObject({ request: number, ...PATH });
  }
});

test("one whose event channel could not be bound anew goes over without one", async () => {
  const { first, running } = handover;
  first.hypervisor.bind = refuseBind;
  handover.unbound.add(DOMID);
  control.messages();
  control.send(request("INTRODUCE", 2, `${DOMID}\x001\x009\0`));
  await first.turns();
  expect(control.messages()).toMatchObject([{ request: 2, body: "OK\0" }]);
  expect(running.daemon.store.domainInfo(DOMID)).toMatchObject({ port: 0 });
  handover.standBy();
  const before = running.daemon.store.digest();
  expect(handover.adopt(handover.changes())).toBe(before);
  guest.put(asked(2));
  await handover.serve();
  guest.drain();
  expect(guest.take()).toMatchObject({ request: 2, ...PATH });
});

test("a dry run takes nothing from a ring: half a request outlives a crash after it", async () => {
  guest.put(asked(2).subarray(0, 16));
  await handover.first.turns();
  handover.survivor.standby!.changes();
  handover.survivor.difference();
  expect(guest.field(RING.requestsConsumed)).toBe(0);
  const { memory, daemon } = handover.running;
  daemon.pause();
  const second = stack.use(new DaemonHere({ arena: memory, shim: handover.shim, isNew: false }));
  second.daemon.adopt([], true);
  second.daemon.resume();
  guest.put(asked(2).subarray(16));
  await second.turns();
  guest.drain();
  expect(guest.take()).toMatchObject({ request: 2, ...PATH });
  expect(guest.field(RING.error)).toBe(0);
});

test("nor does the state for a stock daemon, which may not come to serve", async () => {
  control.send(request("WRITE", 5, `/big\0${"x".repeat(1500)}`));
  control.send(request("SET_PERMS", 6, "/big\0b0\0"));
  await handover.first.turns();
  guest.put(request("READ", 2, "/big\0"));
  await handover.first.turns();
  const { daemon } = handover.running;
  daemon.pause();
  const state = stateOfRunning(handover.running);
  const ring = state.connections.find(
    ({ channel }) => channel.kind === "ring" && channel.domid > 0,
  );
  expect([ring?.input.length, ring?.output.length]).toEqual([0, 1516 - 1024]);
  expect(guest.field(RING.requestsConsumed)).toBe(0);
  daemon.resume();
});

const WAYS = ["it serves on", "it dies, the old one goes on", "it dies, the keeper goes on"];
type Turns = () => Promise<void>;

/** The new one serves; then how the test goes on, and whose turns these are. */
async function serve(way: string): Promise<() => Promise<Turns>> {
  const isInPlace = way === WAYS[2];
  const handed = isInPlace ? handover.whole() : handover.changes();
  handover.adopt(handed);
  await handover.serve(false);
  return async () => {
    if (way === WAYS[0]) return () => handover.turns();
    handover.die();
    if (isInPlace) await handover.keep(handed);
    else await handover.goOn();
    return () => (isInPlace ? handover.turns() : handover.first.turns());
  };
}

/** Everything that comes, until nothing does; the ring is read in pieces. */
async function messages(turns: Turns): Promise<(number | string)[][]> {
  const all: (number | string)[][] = [];
  for (let round = 0, isQuiet = false; !isQuiet || round < 3; round++) {
    isQuiet = guest.drain() === 0;
    for (let next = guest.take(); next !== undefined; next = guest.take()) {
      all.push([next.request, next.body.length]);
    }
    // oxlint-disable-next-line no-await-in-loop -- what is left comes as it is read.
    await turns();
  }
  return all;
}

test.each(WAYS)("half a request at the pause is carried out once: %s", async (way) => {
  if (way !== WAYS[2]) handover.standBy();
  guest.put(asked(2).subarray(0, 16));
  await handover.first.turns();
  const end = await serve(way);
  guest.put(asked(2).subarray(16));
  expect(await messages(() => handover.turns())).toEqual([[2, PATH.body.length]]);
  const turns = await end();
  guest.put(asked(3));
  expect(await messages(turns)).toEqual([[3, PATH.body.length]]);
  expect(guest.field(RING.error)).toBe(0);
});

test.each(WAYS)("so is half of one that is larger than the ring: %s", async (way) => {
  if (way !== WAYS[2]) handover.standBy();
  const large = request("WRITE", 2, `/local/domain/${DOMID}/a\0${"x".repeat(1500)}`);
  control.send(request("MKDIR", 2, `/local/domain/${DOMID}\0`));
  control.send(request("SET_PERMS", 3, `/local/domain/${DOMID}\0n${DOMID}\0`));
  const first = guest.put(large);
  await handover.first.turns();
  expect(guest.field(RING.requestsConsumed)).toBe(first);
  const end = await serve(way);
  guest.put(large.subarray(first));
  expect(await messages(() => handover.turns())).toEqual([[2, 3]]);
  const turns = await end();
  guest.put(asked(3));
  expect(await messages(turns)).toEqual([[3, PATH.body.length]]);
  expect(guest.field(RING.error)).toBe(0);
});

/** The two large answers, each once, and that of a request behind them. */
async function expectBothAndMore(turns: () => Promise<void>): Promise<void> {
  expect(await messages(turns)).toEqual([
    [2, 1500],
    [3, 1500],
  ]);
  guest.put(asked(4));
  expect(await messages(turns)).toEqual([[4, PATH.body.length]]);
  expect(guest.field(RING.error)).toBe(0);
}

test.each(WAYS)("answers that did not fit come once: %s", async (way) => {
  control.send(request("WRITE", 5, `/big\0${"x".repeat(1500)}`));
  control.send(request("SET_PERMS", 6, "/big\0b0\0"));
  await handover.first.turns();
  if (way !== WAYS[2]) handover.standBy();
  for (const number of [2, 3]) guest.put(request("READ", number, "/big\0"));
  await handover.first.turns();
  const end = await serve(way);
  guest.drain(); // The rest of the first, and some of the second.
  await handover.turns();
  const turns = await end();
  await expectBothAndMore(turns);
});

test("nor do they come twice to a guest whose event channel could not be bound", async () => {
  const { first, running } = handover;
  first.hypervisor.bind = refuseBind;
  control.send(request("INTRODUCE", 4, `${DOMID}\x001\x009\0`));
  control.send(request("WRITE", 5, `/big\0${"x".repeat(1500)}`));
  control.send(request("SET_PERMS", 6, "/big\0b0\0"));
  await first.turns();
  /** Nothing but this makes it look at the ring. */
  const turns = async (): Promise<void> => {
    running.daemon.pause();
    running.daemon.resume();
    await first.turns();
  };
  for (const number of [2, 3]) guest.put(request("READ", number, "/big\0"));
  await turns();
  handover.adopt(handover.whole());
  guest.drain();
  await handover.serve(false); // Which sends the rest of the first, and some of the second.
  handover.die();
  await handover.goOn();
  await expectBothAndMore(turns);
});

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 12;
const STEPS = 25;
const LARGE = 1500;

/** Puts requests on the ring in pieces of any length, and takes answers when it likes. */
class Talker {
  asked = 0;
  /** Numbers of the requests that were answered, in their order. */
  readonly answered: number[] = [];
  private waiting: Uint8Array = new Uint8Array(0);

  step(random: () => number): void {
    if (random() < 0.4) return this.read();
    if (this.waiting.length === 0) this.waiting = this.next(random());
    const wanted = Math.ceil(random() * this.waiting.length);
    this.waiting = this.waiting.subarray(guest.put(this.waiting.subarray(0, wanted)));
  }

  /** Little answers, large ones, and requests that are larger than the ring. */
  private next(what: number): Uint8Array {
    const number = ++this.asked;
    if (what < 0.6) return asked(number);
    if (what < 0.8) return request("READ", number, "/big\0");
    return request("WRITE", number, `/local/domain/${DOMID}/a\0${"x".repeat(LARGE)}`);
  }

  read(): void {
    guest.drain();
    for (let next = guest.take(); next !== undefined; next = guest.take()) {
      this.answered.push(next.request);
    }
  }

  async finish(turns: Turns): Promise<void> {
    for (let round = 0; round < 40 && this.answered.length < this.asked; round++) {
      this.waiting = this.waiting.subarray(guest.put(this.waiting));
      // oxlint-disable-next-line no-await-in-loop -- what is left goes as there is room.
      await turns();
      this.read();
    }
  }
}

test(`each is answered once, or the guest is told that it is lost (SEED=${SEED})`, async () => {
  const random = unitRandom(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const way = WAYS[round % WAYS.length]!;
    stack.dispose();
    // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
    await begin();
    const talker = new Talker();
    const talk = async (turns: Turns): Promise<void> => {
      for (let step = random() * STEPS; step > 0; step--) {
        talker.step(random);
        // oxlint-disable-next-line no-await-in-loop -- as above.
        if (random() < 0.4) await turns();
      }
    };
    control.send(request("MKDIR", 2, `/local/domain/${DOMID}\0`));
    control.send(request("SET_PERMS", 3, `/local/domain/${DOMID}\0n${DOMID}\0`));
    control.send(request("WRITE", 5, `/big\0${"x".repeat(LARGE)}`));
    control.send(request("SET_PERMS", 6, "/big\0b0\0"));
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await talk(() => handover.first.turns(1));
    if (way !== WAYS[2]) handover.standBy();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    const end = await serve(way);
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await talk(() => handover.turns());
    // oxlint-disable-next-line no-await-in-loop -- as above.
    const turns = await end();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await talker.finish(turns);
    const { answered, asked: count } = talker;
    expect(answered).toEqual(answered.map((_, index) => index + 1));
    // An answer in part that died with the program: nobody can finish it.
    const isLost = way !== WAYS[0] && guest.field(RING.error) !== 0;
    if (!isLost) expect([way, answered.length]).toEqual([way, count]);
  }
}, 60_000);
