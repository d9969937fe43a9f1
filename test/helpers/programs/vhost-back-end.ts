// A vhost-user back end for tests: SOCKET MODE BYTES. It negotiates device state, saves BYTES bytes
// and takes any state; the mode says what it does wrong. It tells what it gets, one line a message,
// and serves one front end after the other. With the mode "bench" it saves as fast as it can.

import { readSync, writeSync } from "node:fs";
import { MessageReader } from "../../../lib/device/message-reader.ts";
import { messageBytes } from "../../../lib/device/front-end.ts";
import { REQUEST, requestNameOf } from "../../../lib/device/messages.ts";
import {
  acceptUnix,
  bindUnix,
  borrow,
  type Fd,
  makeSocketPair,
  PollSet,
  sendDescriptors,
  writeFully,
} from "../../../lib/sys/index.ts";

const [path = "", mode = "good", size = "1000", helper = ""] = process.argv.slice(2);
const FEATURES = 0x1_4000_8000n;
const PROTOCOL = 0x8_000en;
const REPLY = 0x5;
const PIECE_BYTES = 1024 * 1024;

using poll = new PollSet();

const wait = (fd: Fd): void => {
  do {
    poll.clear();
    poll.add(fd, "readable");
  } while (!poll.wait(-1));
};
const forever = (): void => {
  for (;;) Bun.sleepSync(1000);
};

const listener = bindUnix({ path, kind: "stream" });
if (helper === "with-helper") takeHelper();
console.log("listening");

/** Looks like a passt whose repair helper is there. */
function takeHelper(): void {
  const repair = bindUnix({ path: `${path}.repair`, kind: "stream" });
  wait(repair);
  acceptUnix(repair);
}

for (;;) {
  wait(listener);
  const socket = acceptUnix(listener);
  if (socket === undefined) continue;
  try {
    serve(socket);
  } catch (error) {
    console.log(`error: ${error instanceof Error ? error.message : String(error)}`);
  }
  socket[Symbol.dispose]();
}

function serve(socket: Fd): void {
  using reader = new MessageReader(socket);
  const offered = mode === "no-device-state" ? PROTOCOL & ~(1n << 19n) : PROTOCOL;
  const number = (request: number, value: bigint, fds: readonly number[] = []): void => {
    const payload = new Uint8Array(mode === "long-answer" ? 16 : 8);
    new DataView(payload.buffer).setBigUint64(0, value, true);
    const id = mode === "other-answer" ? request + 1 : request;
    sendDescriptors(socket, messageBytes(id, mode === "no-reply-flag" ? 1 : REPLY, payload), fds);
  };
  for (;;) {
    const message = reader.next();
    if (message === "end") return;
    if (message === "wait") {
      wait(socket);
      continue;
    }
    using held = message;
    const name = requestNameOf(held.request) ?? String(held.request);
    if (mode === "tells") console.log(`${name} ${held.view.byteLength} ${held.descriptors.length}`);
    if (mode === "silent") forever();
    if (mode === "closes") return;
    if (mode === "unasked") number(REQUEST.GET_QUEUE_NUM.id, 1n);
    switch (name) {
      case "GET_FEATURES":
        if (mode === "fd-in-answer") {
          const [a] = makeSocketPair("stream");
          number(held.request, FEATURES, [a.number]);
        } else number(held.request, FEATURES);
        break;
      case "GET_PROTOCOL_FEATURES":
        number(held.request, offered);
        break;
      case "SET_DEVICE_STATE_FD":
        transfer(held.view.getUint32(0, true), held.descriptors[0]?.number ?? -1, () =>
          number(held.request, mode === "refuses" ? 0x101n : 0x100n),
        );
        break;
      case "CHECK_DEVICE_STATE":
        number(held.request, mode === "bad-check" ? 61n : 0n);
        break;
      case "GET_VRING_BASE": {
        const payload = new Uint8Array(8);
        payload.set(new Uint8Array(held.bytes.buffer, 12, 4));
        sendDescriptors(socket, messageBytes(held.request, REPLY, payload), []);
        break;
      }
      default:
        if ((held.flags & 8) !== 0) number(held.request, 0n);
    }
  }
}

function transfer(direction: number, fd: number, answer: () => void): void {
  answer();
  if (direction === 0) save(fd);
  else load(fd);
}

function save(fd: number): void {
  if (mode === "never-ends") forever();
  let left = Number(size);
  if (mode === "bench") {
    using piece = borrow(PIECE_BYTES);
    const pipe = { number: fd, name: "pipe" } as Fd;
    for (; left > 0; left -= PIECE_BYTES) {
      writeFully(pipe, piece.region.address, Math.min(left, PIECE_BYTES));
    }
    return;
  }
  const piece = Buffer.alloc(64 * 1024, "state ");
  while (left > 0) {
    const put = writeSync(fd, piece, 0, Math.min(left, piece.length));
    left -= put;
    if (mode === "dies-in-save") process.exit(3);
  }
}

function load(fd: number): void {
  if (mode === "never-reads") forever();
  const piece = Buffer.alloc(64 * 1024);
  let bytes = 0;
  for (;;) {
    const got = readSync(fd, piece, 0, piece.length, null);
    if (got === 0) break;
    bytes += got;
    if (mode === "dies-in-load") process.exit(3);
  }
  if (mode === "tells") console.log(`loaded ${bytes}`);
}
