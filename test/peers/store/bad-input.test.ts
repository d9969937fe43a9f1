// Requests that no client library sends: each gets the C daemon's error, or is hung up on, and
// nobody else notices. The rows hold with the C daemon too, where that is at hand.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RING, StoreGuest, makeDomain } from "../../helpers/store-guest.ts";
import { HAS_PEERS, peerTitle, startPeer, type StoreDaemon } from "../../helpers/store-peers.ts";
import { serveFromSource } from "../../helpers/store-serve.ts";
import { StoreSocket } from "../../helpers/store-socket.ts";
import { type Message, messageBytes, OP } from "../../helpers/store-wire.ts";

const HUNG_UP = "hung up";
const LONG = 3072;

/** Payloads of each operation, and the error. */
const ERRORS: readonly (readonly [op: keyof typeof OP | number, body: string, error: string])[] = [
  ["READ", "", "EINVAL"],
  ["READ", "/tool", "EINVAL"],
  ["READ", "/tool\0\0", "EINVAL"],
  ["READ", "/tool\0/tool\0", "EINVAL"],
  ["READ", "\0", "EINVAL"],
  ["READ", "//\0", "EINVAL"],
  ["READ", "/tool/\0", "EINVAL"],
  ["READ", "/a b\0", "EINVAL"],
  ["READ", "/\x80\0", "EINVAL"],
  ["READ", "@releaseDomain\0", "EINVAL"],
  ["READ", `/${"x".repeat(LONG)}\0`, "ENOENT"],
  ["READ", "/missing\0", "ENOENT"],
  ["READ", "relative/missing\0", "ENOENT"],
  ["DIRECTORY", "/missing\0", "ENOENT"],
  ["DIRECTORY", "/tool", "EINVAL"],
  ["DIRECTORY_PART", "/tool\0", "EINVAL"],
  ["GET_PERMS", "/missing\0", "ENOENT"],
  ["WRITE", "", "EINVAL"],
  ["WRITE", "/no-nul", "EINVAL"],
  ["WRITE", "//x\0value", "EINVAL"],
  ["WRITE", "@x\0value", "EINVAL"],
  ["MKDIR", "", "EINVAL"],
  ["MKDIR", "/a/\0", "EINVAL"],
  ["RM", "/\0", "EINVAL"],
  ["RM", "/missing/child\0", "ENOENT"],
  ["SET_PERMS", "/tool\0", "EINVAL"],
  ["SET_PERMS", "/tool\0x0\0", "EINVAL"],
  ["SET_PERMS", "/missing\0n0\0", "ENOENT"],
  ["WATCH", "", "EINVAL"],
  ["WATCH", "/tool\0", "EINVAL"],
  ["WATCH", "//\0token\0", "EINVAL"],
  ["UNWATCH", "/tool\0token\0", "ENOENT"],
  ["UNWATCH", "/tool\0", "EINVAL"],
  ["TRANSACTION_END", "T\0", "ENOENT"],
  ["TRANSACTION_END", "", "EINVAL"],
  ["INTRODUCE", "", "EINVAL"],
  ["INTRODUCE", "9\x001\0", "EINVAL"],
  ["INTRODUCE", "9\x001\x000\0", "EINVAL"],
  ["RELEASE", "9\0", "ENOENT"],
  ["RELEASE", "0\0", "EINVAL"],
  ["RESUME", "9\0", "ENOENT"],
  ["SET_TARGET", "8\x009\0", "ENOENT"],
  ["SET_TARGET", "8\0", "EINVAL"],
  ["GET_DOMAIN_PATH", "", "EINVAL"],
  ["IS_DOMAIN_INTRODUCED", "", "EINVAL"],
  ["CONTROL", "nonsense\0", "EINVAL"],
  ["CONTROL", "", "EINVAL"],
  ["WATCH_EVENT", "/tool\0token\0", "ENOSYS"],
  ["ERROR", "EINVAL\0", "ENOSYS"],
  ["RESTRICT", "1\0", "ENOSYS"],
  [27, "/tool\0", "ENOSYS"],
  [65535, "", "ENOSYS"],
  [2 ** 31, "", "ENOSYS"],
  [2 ** 32 - 1, "", "ENOSYS"],
];

/** Operations that look at the transaction's number. */
const IN_TRANSACTION = [
  "READ",
  "DIRECTORY",
  "GET_PERMS",
  "WRITE",
  "MKDIR",
  "RM",
  "CONTROL",
] as const;
const NEVER_OPENED = [1, 77_777, 2 ** 31, 2 ** 32 - 1];
const OVERLONG = [4097, 65_536, 2 ** 31, 2 ** 32 - 1];
const WHOLE = messageBytes({ type: OP.READ, request: 5, transaction: 0, body: "/tool\0" });

const DAEMONS: readonly (readonly [string, () => StoreDaemon, boolean])[] = [
  ["ours", serveFromSource, true],
  [peerTitle("the C daemon"), () => startPeer("c-4.20"), HAS_PEERS],
];

const textOf = (reply: Message | undefined): string =>
  reply === undefined ? HUNG_UP : reply.body.replace(/\0$/, "");

/** A daemon, started before its checks. */
interface Checked {
  readonly check: (title: string, body: () => void) => void;
  readonly isOurs: boolean;
  readonly daemon: () => StoreDaemon;
}

describe.each(DAEMONS)("bad input of %s", (name, start, isHere) => {
  let daemon: StoreDaemon;
  beforeAll(() => {
    if (isHere) daemon = start();
  }, 120_000);
  afterAll(() => daemon?.[Symbol.dispose]());
  const checked: Checked = {
    check: test.skipIf(!isHere),
    isOurs: name === "ours",
    daemon: () => daemon,
  };
  errors(checked);
  pieces(checked);
  rings(checked);
});

function expectServed({ daemon }: Checked): void {
  using other = new StoreSocket(daemon().socket);
  expect(other.ask("READ", "/tool\0", 0)).toMatchObject({ type: OP.READ, body: "" });
}

function introduced({ daemon }: Checked, domid: number): StoreGuest {
  const { socket, shim } = daemon();
  using tools = new StoreSocket(socket);
  makeDomain(shim, domid);
  tools.ask("RELEASE", `${domid}\0`, 0);
  expect(textOf(tools.ask("INTRODUCE", `${domid}\x001\x005\0`, 0))).toBe("OK");
  return new StoreGuest(shim, domid);
}

function errors(checked: Checked): void {
  const { check, daemon } = checked;
  check("an error for what is malformed", () => {
    using socket = new StoreSocket(daemon().socket);
    for (const [op, body, error] of ERRORS) {
      const reply = socket.ask(op, body, 0);
      expect({ op, body, reply: textOf(reply) }).toEqual({ op, body, reply: error });
      expect(reply?.type).toBe(OP.ERROR);
    }
  });

  check("an error for a transaction that was never opened", () => {
    using socket = new StoreSocket(daemon().socket);
    for (const op of IN_TRANSACTION) {
      for (const id of NEVER_OPENED) {
        const reply = textOf(socket.ask(op, "/tool\0", id));
        expect({ op, id, reply }).toEqual({ op, id, reply: "ENOENT" });
      }
    }
    expect(textOf(socket.ask("TRANSACTION_START", "\0", 7))).toBe("ENOENT");
  });
}

function pieces(checked: Checked): void {
  const { check, daemon } = checked;
  check("a hang-up for a length above 4096, and for nobody else", () => {
    for (const length of OVERLONG) {
      using socket = new StoreSocket(daemon().socket);
      const message = { type: OP.READ, request: 1, transaction: 0, body: "" };
      socket.sendBytes(messageBytes(message, length));
      expect(socket.reply(1)).toBeUndefined();
      expectServed(checked);
    }
  });

  // The C daemon waits for the rest when a header came alone, and serves nobody until then.
  const whenOurs = checked.isOurs ? check : () => undefined;
  whenOurs("requests in pieces of one byte, many in one piece, and half of one for ever", () => {
    using slow = new StoreSocket(daemon().socket);
    using half = new StoreSocket(daemon().socket);
    half.sendBytes(WHOLE.subarray(0, 18));
    for (const byte of WHOLE) {
      slow.sendBytes(Uint8Array.of(byte));
      expectServed(checked);
    }
    expect(slow.reply(5)).toMatchObject({ type: OP.READ, request: 5, body: "" });
    slow.sendBytes(new Uint8Array(Buffer.concat(Array.from({ length: 300 }, () => WHOLE))));
    for (let index = 0; index < 300; index++) expect(slow.reply(5)?.type).toBe(OP.READ);
    half.sendBytes(WHOLE.subarray(18));
    expect(half.reply(5)).toMatchObject({ type: OP.READ, request: 5, body: "" });
  });

  check("clients that go away in the middle of everything", () => {
    for (let bytes = 1; bytes < WHOLE.length; bytes++) {
      using socket = new StoreSocket(daemon().socket);
      socket.send("TRANSACTION_START", "\0", 0);
      socket.send("WATCH", "/\0token\0", 0);
      socket.sendBytes(WHOLE.subarray(0, bytes));
    }
    expectServed(checked);
  });
}

function rings(checked: Checked): void {
  const { check } = checked;
  // The field that tells a guest why it is no longer served: 2 for indices, 3 for the protocol.
  check("a ring with wild indices is given up, and says so", () => {
    for (const [produced, consumed] of [
      [1025, 0],
      [2 ** 31, 0],
      [5, 6],
      [0, 2 ** 32 - 2000],
    ] as const) {
      using guest = introduced(checked, 11);
      guest.setField(RING.requestsConsumed, consumed);
      guest.setField(RING.requestsProduced, produced);
      guest.notify();
      expect(errorOf(guest)).toBe(2);
      expectServed(checked);
    }
  });

  check("a ring whose response indices are wild is given up when something is to be told", () => {
    using guest = introduced(checked, 11);
    guest.setField(RING.responsesProduced, 5000);
    guest.send("READ", "/tool\0", 0);
    expect(errorOf(guest)).toBe(2);
    expectServed(checked);
  });

  check("a length above 4096 on a ring", () => {
    using guest = introduced(checked, 11);
    const message = { type: OP.READ, request: 1, transaction: 0, body: "" };
    guest.put(messageBytes(message, 4097));
    expect(errorOf(guest)).toBe(3);
    expectServed(checked);
  });

  check("a guest that is introduced again is served again", () => {
    {
      using guest = introduced(checked, 11);
      guest.setField(RING.requestsProduced, 5000);
      guest.notify();
      expect(errorOf(guest)).toBe(2);
    }
    using guest = introduced(checked, 11);
    expect(textOf(guest.ask("GET_DOMAIN_PATH", "11\0", 0))).toBe("/local/domain/11");
  });
}

const ERROR_MS = 3000;

/** The ring's error field, once it is set. */
function errorOf(guest: StoreGuest): number {
  const untilMs = performance.now() + ERROR_MS;
  while (guest.field(RING.error) === 0 && performance.now() < untilMs) Bun.sleepSync(1);
  return guest.field(RING.error);
}
