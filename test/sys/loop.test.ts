// The epoll loop: descriptors, timers, signals, and what must not starve.

import { expect, test } from "bun:test";
import {
  Fd,
  Loop,
  makePipe,
  makeSocketPair,
  READY_MASK,
  readFully,
  receiveDescriptors,
  reserve,
  sendDescriptors,
  setAlarm,
} from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { messageOf } from "../helpers/system-error.ts";

const byte = reserve(16);

test("a handler is called while its descriptor is ready, with what it is ready for", async () => {
  using loop = new Loop();
  const pipe = makePipe();
  using readEnd = pipe.readEnd;
  using writeEnd = pipe.writeEnd;
  const seen: number[] = [];
  loop.watch(writeEnd, READY_MASK.writable, (mask) => {
    seen.push(mask);
    loop.forget(writeEnd);
    writeEnd[Symbol.dispose]();
  });
  loop.watch(readEnd, READY_MASK.readable, (mask) => {
    seen.push(mask);
    loop.stop();
  });
  await loop.run();
  expect(seen).toEqual([READY_MASK.writable, READY_MASK.hangUp]);
});

test("a change of the mask is in force, and a peer that stops sending is told apart", async () => {
  using loop = new Loop();
  const [near, far] = makeSocketPair("stream");
  using receiver = far;
  const seen: number[] = [];
  loop.watch(receiver, READY_MASK.writable, (mask) => {
    seen.push(mask);
    if (seen.length === 1) {
      loop.change(receiver, READY_MASK.readable + READY_MASK.peerClosed);
      near[Symbol.dispose]();
      return;
    }
    loop.stop();
  });
  await loop.run();
  expect(seen).toEqual([
    READY_MASK.writable,
    READY_MASK.readable + READY_MASK.peerClosed + READY_MASK.hangUp,
  ]);
});

test("an event of a descriptor that was forgotten in the same round is dropped", async () => {
  using loop = new Loop();
  const pairs = [makeSocketPair("stream"), makeSocketPair("stream")] as const;
  for (const [near] of pairs) sendDescriptors(near, new Uint8Array(1), []);
  const receivers = pairs.map(([, far]) => far);
  const seen: string[] = [];
  receivers.forEach((receiver, index) => {
    loop.watch(receiver, READY_MASK.readable, () => {
      const other = receivers[1 - index]!;
      loop.forget(other);
      // The number is taken again at once: the queued event must not reach its new user.
      other[Symbol.dispose]();
      const [first, second] = makeSocketPair("stream");
      const reused = [first, second].find(({ number }) => number === other.number)!;
      loop.watch(reused, READY_MASK.readable, () => seen.push("the new user of the number"));
      loop.forget(receiver);
      seen.push("one of the two");
      loop.after(0, () => loop.stop());
    });
  });
  await loop.run();
  expect(seen).toEqual(["one of the two"]);
});

test("timers run in the loop, and a cancelled one does not", async () => {
  using loop = new Loop();
  const seen: string[] = [];
  const never = loop.after(1, () => seen.push("cancelled"));
  loop.after(3, () => {
    seen.push("second");
    loop.stop();
  });
  loop.after(2, () => seen.push("first"));
  loop.cancel(never);
  await loop.run();
  expect(seen).toEqual(["first", "second"]);
});

test("a signal interrupts the wait, and its handler runs in the loop's turn", async () => {
  using loop = new Loop();
  let calls = 0;
  loop.onSignal("SIGALRM", () => {
    calls += 1;
    if (calls === 3) loop.stop();
    else setAlarm(1);
  });
  setAlarm(1);
  await loop.run();
  expect(calls).toBe(3);
});

test("a signal of the last turn is heard before run() returns", async () => {
  using loop = new Loop();
  let calls = 0;
  loop.onSignal("SIGUSR2", () => void (calls += 1));
  const pipe = makePipe();
  using readEnd = pipe.readEnd;
  pipe.writeEnd[Symbol.dispose]();
  loop.watch(readEnd, READY_MASK.readable, () => {
    process.kill(process.pid, "SIGUSR2");
    loop.stop();
  });
  await loop.run();
  expect(calls).toBe(1);
});

test("signals come through under load that never lets the wait sleep", async () => {
  using loop = new Loop();
  const [near, far] = makeSocketPair("stream");
  using sender = near;
  using receiver = far;
  let rounds = 0;
  loop.watch(receiver, READY_MASK.readable, () => {
    receiveDescriptors(receiver, 1);
    sendDescriptors(sender, new Uint8Array(1), []); // There is always one more.
    rounds += 1;
  });
  sendDescriptors(sender, new Uint8Array(1), []);
  loop.onSignal("SIGALRM", () => loop.stop());
  setAlarm(5);
  await loop.run();
  expect(rounds).toBeGreaterThan(0);
});

test("what a handler throws comes out of run(), of a signal handler too", async () => {
  using loop = new Loop();
  loop.after(0, () => {
    throw new Error("from a timer");
  });
  await expect(loop.run()).rejects.toThrow("from a timer");
  loop.onSignal("SIGALRM", () => {
    throw new Error("from a signal");
  });
  setAlarm(1);
  await expect(loop.run()).rejects.toThrow("from a signal");
});

test("disposing takes back signal handlers and the descriptor", () => {
  const descriptors = openDescriptors();
  const listeners = process.listenerCount("SIGALRM");
  {
    using loop = new Loop();
    loop.onSignal("SIGALRM", () => undefined);
    expect(openedSince(descriptors)).toHaveLength(1);
    expect(process.listenerCount("SIGALRM")).toBe(listeners + 1);
  }
  expect(openedSince(descriptors)).toEqual([]);
  expect(process.listenerCount("SIGALRM")).toBe(listeners);
});

test("a descriptor that cannot be watched is refused by name", () => {
  using loop = new Loop();
  const handler = (): void => undefined;
  const closed = new Fd(0x7fff_fff0, "a closed descriptor");
  expect(messageOf(() => loop.watch(closed, READY_MASK.readable, handler))).toBe(
    "Cannot watch a descriptor: epoll_ctl on a closed descriptor failed with EBADF (errno 9)",
  );
  const pipe = makePipe();
  loop.watch(pipe.readEnd, READY_MASK.readable, handler);
  expect(messageOf(() => loop.watch(pipe.readEnd, READY_MASK.readable, handler))).toBe(
    "Assertion failed: a descriptor is watched once",
  );
  expect(messageOf(() => loop.change(pipe.writeEnd, 0))).toBe(
    "Assertion failed: a descriptor is watched before that changes",
  );
  expect(messageOf(() => loop.forget(pipe.writeEnd))).toBe(
    "Assertion failed: a descriptor is watched before it is forgotten",
  );
  pipe.writeEnd[Symbol.dispose]();
  expect(readFully(pipe.readEnd, byte.address, 1)).toBe(0);
  pipe.readEnd[Symbol.dispose]();
});

test("what ends a wake-up runs after its events, and again while it has more to do", async () => {
  using loop = new Loop();
  const [near, far] = makeSocketPair("stream");
  using sender = near;
  using receiver = far;
  const seen: string[] = [];
  loop.watch(receiver, READY_MASK.readable, () => {
    seen.push("event");
    loop.change(receiver, 0);
  });
  let rounds = 0;
  loop.onTurnEnd(() => {
    if (seen.length === 0) return false;
    seen.push("end");
    rounds += 1;
    if (rounds === 3) loop.stop();
    return rounds < 3;
  });
  sendDescriptors(sender, new Uint8Array(1), []);
  await loop.run();
  expect(seen).toEqual(["event", "end", "end", "end"]);
});
