// The queue of what a client is owed: sent in pieces, moved, bounded, relieved of its events.

import { expect, test } from "bun:test";
import { ClientOutbox } from "../../lib/store-daemon/outbox.ts";
import { BufferPool } from "../../lib/sys/index.ts";
import { type Message, messageBytes, OP } from "../helpers/store-wire.ts";

const MIB = 1024 * 1024;

function newOutbox(bytesMax: number) {
  return new ClientOutbox(new BufferPool(8 * MIB), bytesMax);
}

const message = (type: number, request: number, length: number): Message => ({
  type,
  request,
  transaction: 0,
  body: String.fromCharCode(97 + (request % 26)).repeat(length),
});

function append(outbox: ClientOutbox, added: Message): boolean {
  const bytes = messageBytes(added);
  if (!outbox.reserve(bytes.length)) return false;
  outbox.bytes.set(bytes, outbox.end);
  outbox.end += bytes.length;
  return true;
}

test("what is sent in pieces of any size comes out whole and in order", () => {
  const outbox = newOutbox(MIB);
  const [expected, sent]: [Buffer[], Buffer[]] = [[], []];
  for (let step = 0; step < 5000; step++) {
    const added = message(step % 3 === 0 ? OP.WATCH_EVENT : OP.READ, step, (step * 37) % 3000);
    expect(append(outbox, added)).toBe(true);
    expected.push(Buffer.from(messageBytes(added)));
    while (outbox.queuedBytes > (step % 50) * 1000) {
      const bytes = Math.min(outbox.queuedBytes, 1 + ((step * 131) % 5000));
      sent.push(Buffer.from(outbox.bytes.slice(outbox.sent, outbox.sent + bytes)));
      outbox.advance(bytes);
    }
  }
  sent.push(Buffer.from(outbox.bytes.slice(outbox.sent, outbox.end)));
  expect(Buffer.concat(sent).equals(Buffer.concat(expected))).toBe(true);
});

test("it holds no more than it may, says so, and gives its memory back", () => {
  const pool = new BufferPool(8 * MIB);
  const outbox = new ClientOutbox(pool, 128 * 1024);
  let count = 0;
  while (append(outbox, message(OP.READ, count, 1000))) count += 1;
  expect(count).toBe(129); // Of 1016 bytes.
  expect(outbox.hasOverflowed).toBe(true);
  outbox.clear();
  expect(pool.take(8 * MIB)).toBeDefined();
});

test("events in front of a mark go, but not an answer, nor what is partly sent", () => {
  const outbox = newOutbox(MIB);
  append(outbox, message(OP.WATCH_EVENT, 1, 10));
  append(outbox, message(OP.WATCH_EVENT, 2, 10));
  append(outbox, message(OP.READ, 3, 10));
  append(outbox, message(OP.WATCH_EVENT, 4, 10));
  outbox.advance(5);
  const position = outbox.base + outbox.end;
  append(outbox, message(OP.WATCH_EVENT, 5, 10));
  expect(outbox.countReplies()).toBe(1);
  expect(outbox.dropEvents(position - outbox.base)).toBe(52);
  const left = [1, 3, 5].map((request) =>
    messageBytes(message(request === 3 ? OP.READ : OP.WATCH_EVENT, request, 10)),
  );
  expect(Buffer.from(outbox.copy())).toEqual(Buffer.concat(left));
  expect(outbox.sent - outbox.start).toBe(5);
});

test("a copy put back goes on where the other stopped", () => {
  const [from, to] = [newOutbox(MIB), newOutbox(MIB)];
  append(from, message(OP.READ, 1, 100));
  append(from, message(OP.READ, 2, 100));
  from.advance(120);
  expect(to.restore(from.copy(), from.sent - from.start)).toBe(true);
  expect(to.queuedBytes).toBe(from.queuedBytes);
  expect(Buffer.from(to.bytes.slice(to.sent, to.end))).toEqual(
    Buffer.from(from.bytes.slice(from.sent, from.end)),
  );
});
