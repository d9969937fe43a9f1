// Steps that move bytes without waiting, on the real kernel.

import { expect, test } from "bun:test";
import {
  abandon,
  borrow,
  bytesWaiting,
  duplicate,
  isNonBlocking,
  makeNonBlocking,
  makePipe,
  makeSocketPair,
  PollSet,
  readReady,
  spliceReady,
  stepBytes,
  teeReady,
  TRY_AGAIN,
  writeReady,
} from "../../lib/sys/index.ts";

const SLOT_BYTES = 4096;

function pipeWith(text: string) {
  const pipe = makePipe();
  using loan = borrow(SLOT_BYTES);
  const bytes = new TextEncoder().encode(text);
  loan.region.bytes.set(bytes);
  const { address } = loan.region;
  if (text !== "") writeReady(pipe.writeEnd, "pipe", { address, bytes: bytes.byteLength });
  return pipe;
}

test("an empty blocking pipe says try again, and its end says 0", () => {
  const [source, target] = [pipeWith(""), pipeWith("")];
  expect(spliceReady(source.readEnd, target.writeEnd, 10, "source")).toBe(TRY_AGAIN);
  source.writeEnd[Symbol.dispose]();
  expect(spliceReady(source.readEnd, target.writeEnd, 10, "source")).toBe(0);
  expect(isNonBlocking(source.readEnd.number)).toBe(false);
  expect(isNonBlocking(target.writeEnd.number)).toBe(false);
});

test("tee leaves the bytes where they are", () => {
  const [source, first, second] = [pipeWith("abcdef"), pipeWith(""), pipeWith("")];
  expect(teeReady(source.readEnd, first.writeEnd, 4)).toBe(4);
  expect(spliceReady(source.readEnd, second.writeEnd, 4, "source")).toBe(4);
  expect([source, first, second].map(({ readEnd }) => bytesWaiting(readEnd))).toEqual([2, 4, 4]);
});

test("a reader that has gone is an error that names the target", () => {
  const [source, target] = [pipeWith("abc"), pipeWith("")];
  target.readEnd[Symbol.dispose]();
  target.writeEnd.name = "the receiver";
  expect(() => spliceReady(source.readEnd, target.writeEnd, 3, "target")).toThrow(
    'Cannot write "the receiver": the reader has gone: splice on the receiver failed with EPIPE',
  );
});

test("a full blocking socket does not hold the writer", () => {
  const [near] = makeSocketPair("stream");
  using loan = borrow(64 * 1024);
  const source = { address: loan.region.address, bytes: loan.region.length };
  let sent = 0;
  for (;;) {
    const put = writeReady(near, "socket", source);
    if (put === TRY_AGAIN) break;
    sent += put;
  }
  expect(sent).toBeGreaterThan(0);
  expect(isNonBlocking(near.number)).toBe(false);
});

test("a splice of one step into a writable blocking socket does not wait", () => {
  const [near] = makeSocketPair("stream");
  const step = stepBytes(near, "socket");
  using poll = new PollSet();
  let moved = 0;
  for (;;) {
    poll.clear();
    const place = poll.add(near, "writable");
    if (!poll.wait(0) || !poll.isWritable(place)) break;
    const source = makePipe();
    using loan = borrow(step);
    // The new pipe is empty, and has room for it.
    writeReady(source.writeEnd, "pipe", { address: loan.region.address, bytes: step });
    moved += spliceReady(source.readEnd, near, step, "target");
    source.readEnd[Symbol.dispose]();
    source.writeEnd[Symbol.dispose]();
  }
  expect(moved).toBeGreaterThanOrEqual(step);
});

test("a poll set tells apart what can be read, what can be written and what has failed", () => {
  const [full, empty, broken] = [pipeWith("x"), pipeWith(""), pipeWith("")];
  broken.readEnd[Symbol.dispose]();
  using poll = new PollSet();
  const places = [
    poll.add(full.readEnd, "readable"),
    poll.add(empty.readEnd, "readable"),
    poll.add(empty.writeEnd, "writable"),
    poll.add(broken.writeEnd, "failure"),
  ] as const;
  expect(poll.wait(0)).toBe(true);
  expect(places.map((place) => poll.isReadable(place))).toEqual([true, false, false, true]);
  expect(poll.isWritable(places[2])).toBe(true);
  expect(poll.hasFailed(places[3])).toBe(true);
  poll.clear();
  poll.add(empty.readEnd, "readable");
  expect(poll.wait(1)).toBe(false);
});

test("an abandoned descriptor closes its end and keeps its number", () => {
  const pipe = pipeWith("");
  const copy = duplicate(pipe.writeEnd.number, "copy");
  pipe.writeEnd[Symbol.dispose]();
  abandon(copy.number);
  using loan = borrow(16);
  expect(readReady(pipe.readEnd, loan.region.address, 1)).toBe(0);
  expect(writeReady(copy, "other", { address: loan.region.address, bytes: 1 })).toBe(1);
});

test("our own pipe can be made non-blocking", () => {
  const { readEnd } = pipeWith("");
  makeNonBlocking(readEnd);
  using loan = borrow(16);
  expect(readReady(readEnd, loan.region.address, 1)).toBe(TRY_AGAIN);
});
