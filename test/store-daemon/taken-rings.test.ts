// Guests on their rings through a live update, in one process: the new program has them as the old
// one had, and the old one goes on where a new one that has served and died has left off.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { HandoverHere } from "../helpers/handover-here.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { type PeerHere, request } from "../helpers/store-in-process.ts";

const DOMID = 7;
const PATH = { body: `/local/domain/${DOMID}\0` };

let stack: DisposableStack;
let handover: HandoverHere;
let control: PeerHere;
let guest: StoreGuest;

beforeEach(async () => {
  stack = new DisposableStack();
  handover = stack.use(new HandoverHere());
  control = stack.use(handover.first.connect());
  makeDomain(handover.shim, DOMID);
  control.send(request("INTRODUCE", 1, `${DOMID}\x001\x005\0`));
  await handover.first.turns();
  guest = stack.use(new StoreGuest(handover.shim, DOMID));
});
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
