// Many clients, and rude ones, of our xenstore daemon: all are served, memory is bounded, and who
// does not read its answers is the only one to suffer.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { makeDomain, StoreGuest } from "../../helpers/store-guest.ts";
import type { StoreDaemon } from "../../helpers/store-peers.ts";
import { serveFromSource } from "../../helpers/store-serve.ts";
import { StoreSocket } from "../../helpers/store-socket.ts";
import { messageBytes, OP } from "../../helpers/store-wire.ts";

const CONNECTIONS = 1000;
const WATCHES = 10_000;
const MIB_KIB = 1024;
/** What a client that never reads may cost, all queues of daemon and kernel together. */
const RUDE_KIB_MAX = 64 * MIB_KIB;
const QUEUE_KIB_MAX = 40 * MIB_KIB;
const FLOOD_BYTES = 16 * 1024 * MIB_KIB;
const PIECE = 200;

describe("under load", () => {
  let daemon: StoreDaemon;
  beforeAll(() => void (daemon = serveFromSource()), 60_000);
  afterAll(() => daemon[Symbol.dispose]());

  const residentKib = (): number =>
    Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]);
  const ask = (op: keyof typeof OP, ...words: string[]): string => {
    using socket = new StoreSocket(daemon.socket);
    return socket.ask(op, words.join("\0"), 0)!.body;
  };

  test(`${CONNECTIONS} connections are all answered`, () => {
    using all = new DisposableStack();
    const sockets = Array.from({ length: CONNECTIONS }, () =>
      all.use(new StoreSocket(daemon.socket)),
    );
    const requests = sockets.map((socket, index) => socket.send("WRITE", `/many/${index}\0x`, 0));
    for (const [index, socket] of sockets.entries()) {
      expect(socket.reply(requests[index]!)?.body).toBe("OK\0");
    }
    expect(ask("DIRECTORY", "/many\0")).toContain("\x00999\0");
    expect(ask("RM", "/many\0")).toBe("OK\0");
  }, 60_000);

  test(`${WATCHES} watches on one path are all told`, () => {
    using watcher = new StoreSocket(daemon.socket);
    for (let from = 0; from < WATCHES; from += PIECE) {
      const pieces = Array.from({ length: PIECE }, (_, index) =>
        messageBytes({
          type: OP.WATCH,
          request: from + index,
          transaction: 0,
          body: `/watched\0token ${from + index}\0`,
        }),
      );
      watcher.sendBytes(new Uint8Array(Buffer.concat(pieces)));
      for (const _ of pieces) expect(watcher.reply(0)?.body).toBe("OK\0");
    }
    watcher.events.length = 0;
    while (watcher.receive(200) !== undefined) continue;

    using writer = new StoreSocket(daemon.socket);
    expect(writer.ask("WRITE", "/watched\0x", 0)?.body).toBe("OK\0");
    const told = new Set<string>();
    while (told.size < WATCHES) {
      const event = watcher.receive(20_000);
      expect(event?.type).toBe(OP.WATCH_EVENT);
      told.add(event!.body);
    }
    expect(ask("RM", "/watched\0")).toBe("OK\0");
  }, 60_000);

  test("a client that asks and never reads is no longer read, and costs no more", () => {
    ask("WRITE", "/large", "v".repeat(4000));
    const before = residentKib();
    using rude = new StoreSocket(daemon.socket);
    const request = messageBytes({ type: OP.READ, request: 1, transaction: 0, body: "/large\0" });
    const piece = new Uint8Array(Buffer.concat(Array.from({ length: PIECE }, () => request)));
    for (let sent = 0; sent < FLOOD_BYTES && rude.canSend(100); sent += piece.length) {
      if (!rude.sendSome(piece)) break;
      if (sent % (64 * piece.length) === 0) expect(ask("READ", "/tool\0")).toBe("");
    }
    expect(rude.canSend(500)).toBeFalse();
    expect(ask("READ", "/tool\0")).toBe("");
    expect(residentKib() - before).toBeLessThan(RUDE_KIB_MAX);
  }, 60_000);

  test("a client that watches and never reads costs a bounded queue", () => {
    using rude = new StoreSocket(daemon.socket);
    rude.ask("WATCH", "/busy\0token\0", 0);
    const before = residentKib();
    using writer = new StoreSocket(daemon.socket);
    const name = "n".repeat(3000);
    for (let round = 0; round < 80; round++) {
      const pieces = Array.from({ length: PIECE }, (_, index) =>
        messageBytes({
          type: OP.WRITE,
          request: index,
          transaction: 0,
          body: `/busy/${name}${round % 40}/${index}\0`,
        }),
      );
      writer.sendBytes(new Uint8Array(Buffer.concat(pieces)));
      for (const _ of pieces) expect(writer.reply(0)?.body).toBe("OK\0");
      if (round % 40 === 39) expect(ask("RM", "/busy\0")).toBe("OK\0");
    }
    expect(residentKib() - before).toBeLessThan(QUEUE_KIB_MAX);
    expect(ask("READ", "/tool\0")).toBe("");
  }, 60_000);

  test("a guest that never reads keeps its quota, and others are served", () => {
    makeDomain(daemon.shim, 12);
    ask("INTRODUCE", "12\x001\x005\0");
    using guest = new StoreGuest(daemon.shim, 12);
    const request = messageBytes({ type: OP.READ, request: 1, transaction: 0, body: "/large\0" });
    const untilMs = performance.now() + 2000;
    let full = 0;
    while (full < 50 && performance.now() < untilMs) {
      full = guest.put(request) === request.length ? 0 : full + 1;
      if (full > 0) Bun.sleepSync(2);
    }
    expect(full).toBe(50); // The daemon has stopped reading the ring.
    expect(ask("READ", "/tool\0")).toBe("");
    expect(ask("RELEASE", "12\0")).toBe("OK\0");
  }, 60_000);

  test("a flood of one client delays another by its share only", () => {
    using flooder = new StoreSocket(daemon.socket);
    using quiet = new StoreSocket(daemon.socket);
    const request = messageBytes({ type: OP.READ, request: 1, transaction: 0, body: "/tool\0" });
    const piece = new Uint8Array(Buffer.concat(Array.from({ length: 1000 }, () => request)));
    // A thousand requests are on their way: the quiet one is answered before they all are.
    flooder.sendBytes(piece);
    expect(quiet.ask("READ", "/tool\0", 0)?.type).toBe(OP.READ);
    for (let index = 0; index < 1000; index++) expect(flooder.reply(1)?.type).toBe(OP.READ);
  });
});
