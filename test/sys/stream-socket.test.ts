// Sockets without waiting, event channels over a FIFO, and pages of files.

import { expect, test } from "bun:test";
import { truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  bindUnix,
  EventChannels,
  isListening,
  makeFifo,
  makeSocketPair,
  mapSharedPage,
  openForBoth,
  peerProcessOf,
  pokeFifo,
  receiveNow,
  reserve,
  sendNow,
  SOCKET_GONE,
  SOCKET_WAIT,
} from "../../lib/sys/index.ts";
import { messageOf } from "../helpers/system-error.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const memory = reserve(64 * 1024);

test("a blocking socket is read and written without waiting", () => {
  const [near, far] = makeSocketPair("stream");
  using ours = near;
  expect(receiveNow(ours.number, memory.address, 100)).toBe(SOCKET_WAIT);
  while (sendNow(ours.number, memory.address, memory.length) !== SOCKET_WAIT);
  expect(receiveNow(far.number, memory.address, 100)).toBe(100);
  far[Symbol.dispose]();
  expect(sendNow(ours.number, memory.address, 1)).toBe(SOCKET_GONE);
});

test("the end of what a peer sends is told apart from a lost connection", () => {
  const [near, far] = makeSocketPair("stream");
  using ours = near;
  far[Symbol.dispose]();
  expect(receiveNow(ours.number, memory.address, 100)).toBe(0);
  expect(receiveNow(-1, memory.address, 100)).toBe(SOCKET_GONE);
});

test("who is at the other end, and whether a socket listens", () => {
  using folder = temporaryFolder();
  using listener = bindUnix({ path: join(folder.path, "s"), kind: "stream" });
  const [near, far] = makeSocketPair("stream");
  using ours = near;
  using theirs = far;
  expect(peerProcessOf(ours.number)?.pid).toBe(process.pid);
  expect([listener, theirs].map(({ number }) => isListening(number))).toEqual([true, false]);
  expect(isListening(-1)).toBe(false);
});

test("events are read in their order, and a FIFO nobody reads is left alone", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "evtchn");
  makeFifo(path);
  pokeFifo(path);
  pokeFifo(join(folder.path, "none"));
  using channels = new EventChannels(openForBoth(path));
  expect(channels.read()).toBe(0);
  writeSync(channels.fd.number, new Uint8Array(new Uint32Array([107, 1]).buffer));
  const count = channels.read();
  expect([count, channels.portAt(0), channels.portAt(1)]).toEqual([2, 107, 1]);
});

test("a page that a file does not have is refused", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "ring");
  writeFileSync(path, "short");
  using file = openForBoth(path);
  expect(messageOf(() => mapSharedPage(file, 0))).toContain("too short");
  truncateSync(path, 4096);
  using page = mapSharedPage(file, 0);
  expect(Buffer.from(page.bytes.subarray(0, 5)).toString()).toBe("short");
});
