// Whoever serves after a live update because nobody else is left: the keeper, or the old program
// that was executed again. It leaves out what it cannot have, and serves everybody else.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "../helpers/binary.ts";
import { HandoverHere } from "../helpers/handover-here.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { type PeerHere, request } from "../helpers/store-in-process.ts";
import { startServe } from "../helpers/store-serve.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { killAll, settledPids, updateStore } from "../helpers/store-update.ts";

const [LOST, OTHER] = [7, 8];
const TIMEOUT_MS = 60_000;

let stack: DisposableStack;
let handover: HandoverHere;
let control: PeerHere;
let guests: StoreGuest[];

beforeEach(async () => {
  stack = new DisposableStack();
  handover = stack.use(new HandoverHere());
  control = stack.use(handover.first.connect());
  for (const domid of [LOST, OTHER]) {
    makeDomain(handover.shim, domid);
    control.send(request("INTRODUCE", domid, `${domid}\x001\x005\0`));
  }
  await handover.first.turns();
  guests = [LOST, OTHER].map((domid) => stack.use(new StoreGuest(handover.shim, domid)));
});
afterEach(() => stack.dispose());

/** What each guest hears of a request that it puts on its ring now. */
async function answers(): Promise<(number | undefined)[]> {
  for (const guest of guests) guest.put(request("GET_DOMAIN_PATH", 9, "0\0"));
  await handover.turns();
  return guests.map((guest) => {
    guest.drain();
    return guest.take()?.request;
  });
}

test("the keeper serves everybody but the guest whose ring it cannot map", async () => {
  const handed = handover.whole();
  handover.adopt(handed);
  await handover.serve(false);
  handover.die();
  handover.unmapped.add(LOST);
  await handover.keep(handed);
  expect(await answers()).toEqual([undefined, 9]);
  expect(handover.problems).toEqual([]);
});

test("it serves although a client has left while the new program served", async () => {
  const leaving = handover.first.connect();
  await handover.first.turns();
  const handed = handover.whole();
  handover.adopt(handed);
  await handover.serve(false);
  leaving[Symbol.dispose]();
  await handover.turns();
  handover.die();
  await handover.keep(handed);
  expect(await answers()).toEqual([9, 9]);
  expect(handover.problems).toEqual([]);
});

test("and although a domain was released, and another one has come", async () => {
  const handed = handover.whole();
  handover.adopt(handed);
  await handover.serve(false);
  control.send(request("RELEASE", 2, `${LOST}\0`));
  makeDomain(handover.shim, 9);
  control.send(request("INTRODUCE", 3, "9\x001\x005\0"));
  await handover.turns();
  handover.die();
  await handover.keep(handed);
  guests.push(stack.use(new StoreGuest(handover.shim, 9)));
  expect(await answers()).toEqual([undefined, 9, 9]);
  expect(handover.problems).toEqual([]);
});

test(
  "in place, the old program is back where the new one refuses, and serves as that pid",
  async () => {
    using daemon = startServe({ program: "binary", words: [] });
    const { socket, shim } = daemon;
    stack.defer(() => killAll(socket));
    for (const domid of [LOST, OTHER]) makeDomain(shim, domid);
    using client = new StoreSocket(socket);
    using other = new StoreGuest(shim, OTHER);
    for (const domid of [LOST, OTHER]) client.ask("INTRODUCE", `${domid}\x001\x005\0`, 0);
    const ring = join(shim, `ring.${LOST}`);
    rmSync(ring);
    mkdirSync(ring); // The domain is there, and its page cannot be had.
    const outcome = await updateStore(socket, { binary: builtBinary(), way: "in-place" });
    const reason = expect.stringContaining(`no ring can be had of domain ${LOST}`);
    expect(outcome).toMatchObject({ kind: "kept", reason });
    expect(await settledPids(socket)).toEqual([daemon.pid]);
    expect(client.ask("IS_DOMAIN_INTRODUCED", `${LOST}\0`, 0)!.body).toBe("T\0");
    expect((await other.ask("GET_DOMAIN_PATH", "0\0", 0))?.body).toBe("/local/domain/0\0");
  },
  TIMEOUT_MS,
);
