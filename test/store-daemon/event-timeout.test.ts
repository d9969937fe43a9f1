// Events that a guest does not take: dropped when they are old, and only then.

import { expect, test } from "bun:test";
import { Client } from "../../lib/store-daemon/client.ts";
import { dropOldEvents, markQueued } from "../../lib/store-daemon/event-timeout.ts";
import { ClientOutbox } from "../../lib/store-daemon/outbox.ts";
import { BufferPool } from "../../lib/sys/index.ts";
import { messageBytes, OP } from "../helpers/store-wire.ts";

const EVENT = messageBytes({ type: OP.WATCH_EVENT, request: 0, transaction: 0, body: "/a\0t\0" });

function newClient() {
  const outbox = new ClientOutbox(new BufferPool(1024 * 1024), 1024 * 1024);
  return new Client(1, outbox, { domid: 7 });
}

function queueEvent({ outbox }: Client): void {
  outbox.reserve(EVENT.length);
  outbox.bytes.set(EVENT, outbox.end);
  outbox.end += EVENT.length;
}

test("each event waits as long as it may, to the second", () => {
  const client = newClient();
  for (let second = 0; second < 5; second++) {
    queueEvent(client);
    markQueued(client, second * 1000);
  }
  const left = [20_000, 21_500, 23_000, 24_000].map((nowMs) => {
    const isWaiting = dropOldEvents(client, nowMs, 20_000);
    return [client.outbox.queuedBytes / EVENT.length, isWaiting];
  });
  expect(left).toEqual([
    [4, true],
    [3, true],
    [1, true],
    [0, false],
  ]);
});

test("a guest that takes them late loses none that came after", () => {
  const client = newClient();
  queueEvent(client);
  markQueued(client, 0);
  client.outbox.advance(EVENT.length);
  queueEvent(client);
  markQueued(client, 15_000);
  expect(dropOldEvents(client, 20_000, 20_000)).toBe(true);
  expect(client.outbox.queuedBytes).toBe(EVENT.length);
});
