// Unix sockets and the descriptors that travel over them.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  acceptUnix,
  bindUnix,
  connectUnix,
  createMemfd,
  DESCRIPTORS_MAX,
  Fd,
  isClosedOnExec,
  makeSocketPair,
  MESSAGE_BYTES_MAX,
  receiveDescriptors,
  sendDescriptors,
} from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { programCommand, run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-socket-"));
afterAll(() => rmSync(folder, { recursive: true }));

const KINDS = ["stream", "seqpacket", "datagram"] as const;

test.each(KINDS)("a descriptor and its bytes arrive over a %s pair", (kind) => {
  const [near, far] = makeSocketPair(kind);
  using sender = near;
  using receiver = far;
  using file = createMemfd("passed");
  writeSync(file.number, "content");
  expect(sendDescriptors(sender, Buffer.from("hello"), [file.number, file.number])).toBe(5);
  using message = receiveDescriptors(receiver, 100);
  expect(Buffer.from(message!.bytes).toString()).toBe("hello");
  expect(message!.descriptors.length).toBe(2);
  for (const fd of message!.descriptors) {
    expect(fd.number).not.toBe(file.number);
    expect(isClosedOnExec(fd)).toBe(true);
    const bytes = Buffer.alloc(7);
    readSync(fd.number, bytes, 0, 7, 0);
    expect(bytes.toString()).toBe("content");
  }
});

test("253 descriptors go in one message, and disposing of it closes all of them", () => {
  const [near, far] = makeSocketPair("stream");
  using sender = near;
  using receiver = far;
  const before = openDescriptors();
  const many = Array.from({ length: DESCRIPTORS_MAX }, () => sender.number);
  sendDescriptors(sender, new Uint8Array(1), many);
  {
    using message = receiveDescriptors(receiver, 1);
    expect(message!.descriptors.length).toBe(DESCRIPTORS_MAX);
    expect(openedSince(before)).toHaveLength(DESCRIPTORS_MAX);
  }
  expect(openedSince(before)).toEqual([]);
});

test("a message may have no descriptor, and the end of a connection has no bytes", () => {
  const [sender, far] = makeSocketPair("stream");
  using receiver = far;
  sendDescriptors(sender, new Uint8Array([1, 2, 3]), []);
  sender[Symbol.dispose]();
  expect(receiveDescriptors(receiver, 2)!.bytes).toEqual(new Uint8Array([1, 2]));
  const rest = receiveDescriptors(receiver, 2)!;
  expect(rest.bytes).toEqual(new Uint8Array([3]));
  expect(rest.descriptors).toEqual([]);
  expect(receiveDescriptors(receiver, 2)!.bytes.length).toBe(0);
});

test("descriptors beyond the limit of open files: refused, and those that came are closed", () => {
  const { stdout } = run(programCommand("receive-at-the-limit"), {});
  expect(stdout.trim().split("\n")).toEqual([
    "Cannot receive descriptors over the socket: wanted all that were sent, found that the " +
      "kernel dropped some (MSG_CTRUNC): the limit of open files may be reached",
    "0 leaked",
  ]);
});

test("a message longer than asked for is refused, and its descriptors are closed", () => {
  const [near, far] = makeSocketPair("seqpacket");
  using sender = near;
  using receiver = far;
  const before = openDescriptors();
  sendDescriptors(sender, new Uint8Array(5), [sender.number]);
  expect(messageOf(() => receiveDescriptors(receiver, 4))).toBe(
    `Cannot receive descriptors over ${receiver.name}: wanted a message of at most 4 bytes, ` +
      "found a longer one (MSG_TRUNC)",
  );
  expect(openedSince(before)).toEqual([]);
});

test("a descriptor that is not open is not sent", () => {
  const [near, far] = makeSocketPair("stream");
  using sender = near;
  using receiver = far;
  expect(messageOf(() => sendDescriptors(sender, new Uint8Array(1), [0x7fff_fff0]))).toBe(
    `Cannot send descriptors: sendmsg on ${sender.name} failed with EBADF (errno 9)`,
  );
  receiver[Symbol.dispose]();
  expect(messageOf(() => sendDescriptors(sender, new Uint8Array(1), []))).toBe(
    `Cannot send descriptors: sendmsg on ${sender.name} failed with EPIPE (errno 32)`,
  );
});

test.each([
  [0, 0, "Assertion failed: descriptors travel with at least one byte"],
  [MESSAGE_BYTES_MAX + 1, 0, "Assertion failed: a message fits its buffer"],
  [1, DESCRIPTORS_MAX + 1, "Assertion failed: a message has at most 253 descriptors"],
])("sending %d bytes with %d descriptors is our bug", (bytes, fds, message) => {
  const closed = new Fd(0x7fff_fff0, "no socket");
  const send = (): number =>
    sendDescriptors(
      closed,
      new Uint8Array(bytes),
      Array.from({ length: fds }, () => 0),
    );
  expect(messageOf(send)).toBe(message);
});

test.each([
  ["a path", join(folder, "socket")],
  ["an abstract name", `\0agent-test-${process.pid}`],
])("clients connect to %s, one after the other, and talk", (_, path) => {
  using listener = bindUnix({ path, kind: "stream" });
  expect(acceptUnix(listener)).toBeUndefined();
  using client = connectUnix({ path, kind: "stream", waitMs: 1000 });
  using server = acceptUnix(listener);
  expect(server).toBeDefined();
  expect(receiveDescriptors(server!, 1)).toBeUndefined(); // Non-blocking, and nothing there.
  sendDescriptors(client, new Uint8Array([9]), []);
  expect(receiveDescriptors(server!, 10)!.bytes).toEqual(new Uint8Array([9]));
  for (const fd of [listener, client, server!]) expect(isClosedOnExec(fd)).toBe(true);
});

test("a full non-blocking socket takes nothing, and says 0", () => {
  const path = join(folder, "full");
  using listener = bindUnix({ path, kind: "stream" });
  using client = connectUnix({ path, kind: "stream", waitMs: 0 });
  using server = acceptUnix(listener)!;
  let sent = 0;
  for (let count = 0; count < 1000; count++) {
    const taken = sendDescriptors(server, new Uint8Array(MESSAGE_BYTES_MAX), []);
    if (taken === 0) break;
    sent += taken;
  }
  expect(sent).toBeGreaterThan(0);
  expect(sendDescriptors(server, new Uint8Array(MESSAGE_BYTES_MAX), [])).toBe(0);
  expect(receiveDescriptors(client, 100)!.bytes.length).toBe(100);
});

test("addresses that do not work are refused by name", () => {
  const path = join(folder, "absent");
  expect(messageOf(() => connectUnix({ path, kind: "stream", waitMs: 0 }))).toBe(
    `Cannot connect to "${path}": connect on "${path}" failed with ENOENT (errno 2)`,
  );
  const taken = join(folder, "taken");
  using listener = bindUnix({ path: taken, kind: "datagram" });
  expect(messageOf(() => bindUnix({ path: taken, kind: "stream" }))).toBe(
    `Cannot listen on "${taken}": bind on "${taken}" failed with EADDRINUSE (errno 98)`,
  );
  expect(messageOf(() => connectUnix({ path: taken, kind: "stream", waitMs: 0 }))).toBe(
    `Cannot connect to "${taken}": connect on "${taken}" failed with EPROTOTYPE (errno 91)`,
  );
  const long = `/${"x".repeat(107)}`;
  expect(messageOf(() => bindUnix({ path: long, kind: "stream" }))).toBe(
    `Cannot use socket "${long}": wanted at most 107 bytes, found 108`,
  );
  expect(messageOf(() => acceptUnix(listener))).toBe(
    `Cannot accept a connection: accept4 on "${taken}" failed with EOPNOTSUPP (errno 95)`,
  );
});
