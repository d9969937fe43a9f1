// A store daemon that stands by for another one, in one process: whatever clients do between the
// list it was given and the pause, nothing is lost, twice or somebody else's.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { HandoverHere } from "../helpers/handover-here.ts";
import { unitRandom } from "../helpers/pieces.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { type PeerHere, request } from "../helpers/store-in-process.ts";
import { OP } from "../helpers/store-wire.ts";

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 20;
const CLIENTS = 12;
const STEPS = 30;

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

test("half a request, an answer nobody reads, one who goes, one who comes, a guest", async () => {
  const handover = stack.use(new HandoverHere());
  const { first, shim } = handover;
  const [idle, halved, leaver, reader, busy] = Array.from({ length: 5 }, () => first.connect());
  stack.use(idle!);
  reader!.send(request("WRITE", 1, `/big\0${"x".repeat(3000)}`));
  halved!.send(request("WATCH", 1, "/w\0token\0").subarray(0, 9));
  await first.turns();
  handover.standBy();
  // What was in part may not be so any more.
  halved!.send(request("WATCH", 1, "/w\0token\0").subarray(9));
  leaver![Symbol.dispose]();
  busy!.send(request("WRITE", 2, "/w\0before"));
  await first.turns();
  const comer = stack.use(first.connect());
  comer.send(request("TRANSACTION_START", 3, "\0"));
  for (let sent = 0; sent < 300; sent++) {
    reader!.send(request("READ", sent, "/big\0"));
    // oxlint-disable-next-line no-await-in-loop -- its requests must go in.
    if (sent % 50 === 0) await first.turns(1);
  }
  makeDomain(shim, 7);
  busy!.send(request("INTRODUCE", 4, "7\x001\x005\0"));
  busy!.send(request("WRITE", 5, "/w\0after").subarray(0, 20));
  await first.turns();
  const guest = stack.use(new StoreGuest(shim, 7));
  guest.put(request("GET_DOMAIN_PATH", 9, "7\0"));
  await handover.turns();
  expect(handover.adopt(handover.changes())).toBe(handover.survivor.digest());
  await handover.serve();
  busy!.send(request("WRITE", 5, "/w\0after").subarray(20));
  idle!.send(request("READ", 6, "/w\0"));
  await handover.turns();
  const requests = (peer: PeerHere) => peer.messages().map((message) => message.request);
  expect(requests(busy!)).toEqual([2, 4, 5]);
  expect(idle!.messages()).toMatchObject([{ request: 6, body: "after" }]);
  expect(halved!.messages().map(({ type }) => type)).toEqual([
    OP.WATCH,
    OP.WATCH_EVENT,
    OP.WATCH_EVENT,
    OP.WATCH_EVENT,
  ]);
  comer.send(request("READ", 7, "/w\0"));
  const got: number[] = [];
  for (let round = 0; round < 100 && got.length < 301; round++) {
    got.push(...requests(reader!));
    // oxlint-disable-next-line no-await-in-loop -- what is left comes as it reads.
    await handover.turns();
  }
  expect(got).toEqual([1, ...Array.from({ length: 300 }, (_, sent) => sent)]);
  expect(requests(comer)).toEqual([3, 7]);
  guest.drain();
  expect(guest.take()).toMatchObject({ request: 9, body: "/local/domain/7\0" });
  expect(handover.problems).toEqual([]);
  // Of the sockets all have had traffic but those that have gone.
  const touched = [...handover.traffic].filter(([key, isTouched]) => key !== "" && isTouched);
  expect(touched.length).toBe(5);
}, 20_000);

/** Asks, in pieces of any length, and knows what it is to be answered. */
class Asker {
  readonly peer: PeerHere;
  sent = 0;
  private waiting: Uint8Array = new Uint8Array(0);
  private readonly got: string[] = [];
  constructor(peer: PeerHere) {
    this.peer = peer;
  }

  ask(part: number): void {
    if (this.waiting.length === 0) this.waiting = request("READ", ++this.sent, "/tool\0");
    const length = Math.max(1, Math.floor(part * (this.waiting.length + 1)));
    this.peer.send(this.waiting.subarray(0, length));
    this.waiting = this.waiting.subarray(length);
  }

  finish(): void {
    while (this.waiting.length > 0) this.ask(1);
  }

  answers(): string[] {
    this.got.push(...this.peer.messages().map(({ request: id, body }) => `${id} ${body}`));
    return this.got;
  }

  get wanted(): string[] {
    return Array.from({ length: this.sent }, (_, index) => `${index + 1} `);
  }
}

test(`clients come, go and ask at any moment (SEED=${SEED})`, async () => {
  const random = unitRandom(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    using handover = new HandoverHere();
    const { first } = handover;
    let askers = Array.from({ length: CLIENTS }, () => new Asker(first.connect()));
    const step = async (): Promise<void> => {
      const one = Math.floor(random() * askers.length);
      const what = random();
      if (what < 0.1) {
        askers[one]?.peer[Symbol.dispose]();
        askers = askers.toSpliced(one, 1);
      } else if (what < 0.2) askers.push(new Asker(first.connect()));
      else if (what < 0.4) await first.turns(1);
      else if (what < 0.5) await handover.turns();
      else askers[one]?.ask(random());
    };
    // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
    for (let done = 0; done < STEPS; done++) await step();
    handover.standBy();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    for (let done = 0; done < STEPS * random(); done++) await step();
    expect(handover.adopt(handover.changes())).toBe(handover.survivor.digest());
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await handover.serve();
    for (const asker of askers) asker.finish();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await handover.turns();
    for (const asker of askers) {
      expect(asker.answers()).toEqual(asker.wanted);
      asker.peer[Symbol.dispose]();
    }
    expect(handover.problems).toEqual([]);
  }
}, 60_000);
