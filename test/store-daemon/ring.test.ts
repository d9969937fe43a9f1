// A domain's ring over a real shared page: bytes in and out, and counters that lie.

import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { Ring, RING_BROKEN, RING_WAIT } from "../../lib/store-daemon/ring.ts";
import { mapSharedPage, openForBoth, reserve } from "../../lib/sys/index.ts";
import { RING } from "../helpers/store-guest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const memory = reserve(4096);

function newRing() {
  using folder = temporaryFolder();
  const path = join(folder.path, "ring");
  writeFileSync(path, new Uint8Array(4096));
  using file = openForBoth(path); // The mapping outlives its name.
  const page = mapSharedPage(file, 0);
  const view = page.view;
  return {
    page,
    ring: new Ring(page),
    set: (at: number, value: number) => view.setUint32(at, value, true),
    get: (at: number) => view.getUint32(at, true),
    [Symbol.dispose]: () => page[Symbol.dispose](),
  };
}

test("requests come out as they went in, over the end of the ring and of the counters", () => {
  using guest = newRing();
  let produced = 0xffff_ff00; // Runs over 2^32 on its way.
  guest.set(RING.requestsProduced, produced);
  guest.set(RING.requestsConsumed, produced);
  for (let round = 0; round < 20; round++) {
    const sent = randomBytes(1 + ((round * 331) % 1024));
    sent.forEach((byte, index) => {
      guest.page.bytes[RING.requests + ((produced + index) % 1024)] = byte;
    });
    produced = (produced + sent.length) >>> 0;
    guest.set(RING.requestsProduced, produced);
    expect(guest.ring.hasInput).toBe(true);
    expect(guest.ring.receive(memory.address, 4096)).toBe(sent.length);
    expect(Buffer.from(memory.bytes.subarray(0, sent.length))).toEqual(sent);
    expect(guest.ring.hasInput).toBe(false);
    guest.ring.release(0);
    expect(guest.get(RING.requestsConsumed)).toBe(produced);
    expect(guest.ring.hasInput).toBe(false);
    expect(guest.ring.receive(memory.address, 4096)).toBe(RING_WAIT);
  }
});

test("requests stay until they are released, those of a full ring until they are received", () => {
  using guest = newRing();
  const put = (produced: number): void => guest.set(RING.requestsProduced, produced);
  guest.page.bytes.set(Buffer.from("firstsecond"), RING.requests);
  put(11);
  expect(guest.ring.receive(memory.address, 4096)).toBe(11);
  expect([guest.get(RING.requestsConsumed), guest.ring.hasNews]).toEqual([0, false]);
  guest.ring.release(6);
  expect([guest.get(RING.requestsConsumed), guest.ring.hasNews]).toEqual([5, true]);
  put(20);
  expect(guest.ring.receive(memory.address, 4096)).toBe(9);
  const next = new Ring(guest.page);
  expect(next.receive(memory.address, 4096)).toBe(15); // The program after us.
  expect(Buffer.from(memory.bytes.subarray(0, 6)).toString()).toBe("second");
  put(5 + 1024);
  expect(guest.ring.receive(memory.address, 4096)).toBe(1024 - 15);
  expect(guest.get(RING.requestsConsumed)).toBe(5 + 1024);
  put(3);
  expect(guest.ring.receive(memory.address, 4096)).toBe(RING_BROKEN);
});

test("answers fill the ring and no more", () => {
  using guest = newRing();
  guest.set(RING.responsesProduced, 1000);
  guest.set(RING.responsesConsumed, 1000);
  const answer = randomBytes(1500);
  memory.bytes.set(answer);
  expect(guest.ring.send(memory.address, 1500)).toBe(1024);
  expect(guest.ring.send(memory.address + 1024, 476)).toBe(RING_WAIT);
  expect(guest.get(RING.responsesProduced)).toBe(2024);
  for (let index = 0; index < 1024; index++) {
    expect(guest.page.bytes[RING.responses + ((1000 + index) % 1024)]).toBe(answer[index]!);
  }
  guest.set(RING.responsesConsumed, 1600);
  expect(guest.ring.send(memory.address + 1024, 476)).toBe(476);
  expect(guest.ring.hasNews).toBe(true);
});

test.each([
  // produced minus consumed
  [1025],
  [0x8000_0000],
  [0xffff_ffff],
])("counters that are %d apart are refused, and nothing is touched", (apart) => {
  using guest = newRing();
  const before = guest.page.bytes.slice();
  guest.set(RING.requestsConsumed, 77);
  guest.set(RING.requestsProduced, 77 + apart);
  guest.set(RING.responsesConsumed, 77);
  guest.set(RING.responsesProduced, 77 + apart);
  expect(guest.ring.receive(memory.address, 4096)).toBe(RING_BROKEN);
  expect(guest.ring.send(memory.address, 10)).toBe(RING_BROKEN);
  expect(guest.page.bytes.subarray(0, 2048)).toEqual(before.subarray(0, 2048));
});

test("a guest that wants a new start finds empty rings, and is told that it is connected", () => {
  using guest = newRing();
  guest.set(RING.requestsProduced, 40);
  guest.set(RING.connection, 1);
  expect(guest.ring.wantsReconnection).toBe(true);
  guest.ring.wipe();
  guest.ring.connect();
  expect(guest.get(RING.requestsProduced)).toBe(0);
  expect(guest.get(RING.connection)).toBe(0);
  expect(guest.page.bytes.subarray(0, 2048).every((byte) => byte === 0xff)).toBe(true);
});
