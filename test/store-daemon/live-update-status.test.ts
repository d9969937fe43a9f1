// What `agent live-update --status` tells of clients that are in the middle of something.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { agentCommand, run } from "../helpers/run.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { serveFromSource } from "../helpers/store-serve.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { messageBytes, OP } from "../helpers/store-wire.ts";

const TIMEOUT_MS = 60_000;
const UNREAD = 2000;

test(
  "whose it is, since when, and for which stock daemon it stands in the way",
  () => {
    using daemon = serveFromSource();
    const { socket, shim } = daemon;
    const status = (...words: string[]) =>
      run(agentCommand("live-update", "--status", ...words, socket), {}).stdout;
    expect(status()).not.toContain("unfinished");
    using asker = new StoreSocket(socket);
    makeDomain(shim, 7);
    expect(asker.ask("INTRODUCE", "7\x001\x005\0", 0)?.body).toBe("OK\0");
    using guest = new StoreGuest(shim, 7);
    guest.ask("TRANSACTION_START", "\0", 0);
    asker.ask("WRITE", `/big\0${"x".repeat(3000)}`, 0);
    asker.ask("TRANSACTION_START", "\0", 0);
    asker.ask("TRANSACTION_START", "\0", 0);
    using half = new StoreSocket(socket);
    half.ask("READ", "/big\0", 0);
    half.sendBytes(messageBytes({ type: OP.READ, request: 2, transaction: 0, body: "/b" }, 5));
    using slow = new StoreSocket(socket);
    for (let count = 0; count < UNREAD && slow.canSend(20); count++) slow.send("READ", "/big\0", 0);
    const name = readFileSync("/proc/self/comm", "utf8").trim();
    const whose = `process ${process.pid}, ${name}`;
    const seconds = String.raw`for \d+\.\d s`;
    const lines = status().split("\n");
    const matching = (text: string): string[] =>
      lines.filter((line) => new RegExp(`^unfinished connection \\d+ ${text}`).test(line));
    const escaped = whose.replaceAll(/[().]/g, String.raw`\$&`);
    const [both, ocaml] = ["--to c, --to oxenstored", "--to oxenstored"];
    const rows = [
      String.raw`\(${escaped}\): 2 transactions open ${seconds}; ${both} waits for it$`,
      String.raw`\(domain 7\): a transaction open ${seconds}; ${both} waits for it$`,
      String.raw`\(${escaped}\): 18 bytes of a request sent ${seconds}; ${ocaml} waits for it$`,
      String.raw`\(${escaped}\): \d+ bytes not read ${seconds}; ${ocaml} waits for it$`,
    ];
    for (const row of rows) expect([row, matching(row).length, lines]).toEqual([row, 1, lines]);
    const told = JSON.parse(status("--json")) as { unfinished: unknown[]; blocked_by: string[] };
    expect(told.blocked_by).toEqual([]); // An update of ours carries all of it.
    expect(told.unfinished).toContainEqual({
      connection: expect.any(Number),
      kind: "socket",
      domid: 0,
      pid: process.pid,
      program: name,
      what: "request",
      amount: 18,
      for_ms: expect.any(Number),
      blocks: ["oxenstored"],
    });
  },
  TIMEOUT_MS,
);
