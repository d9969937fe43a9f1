// What a live update hands over, damaged anywhere: the new program refuses it in words, or it makes
// no difference. Never does it crash, hang or grow, and the old one goes on with what is left.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RefusedError } from "../../lib/base/index.ts";
import type { ClientParts } from "../../lib/store-daemon/index.ts";
import { decodeLiveParts, encodeLiveParts } from "../../lib/store-daemon/live-parts.ts";
import { adoptStore, StoreDamagedError } from "../../lib/xenstore/index.ts";
import { arenaPlaces, type Place } from "../helpers/arena-places.ts";
import { dumpOf, HandedStore } from "../helpers/handed-store.ts";
import { withSeed } from "../helpers/pieces.ts";
import { messageBytes, OP } from "../helpers/store-wire.ts";
import { PlainMemory, TestHost } from "../helpers/xenstore-core.ts";

const SEED = Math.floor(Math.random() * 2 ** 31);
const TIMEOUT_MS = 60_000;
/** Rehearsals are long: the others are of the part that verifies. */
const REHEARSALS = 8;

/** Of a client's row. */
const ROW_BYTES = 40;
const [CONNECTION_WORD, PORT_WORD] = [0, 2];
const REFUSED = /^Cannot use the clients that were handed over: /;
const REPLY = { type: OP.READ, request: 1, transaction: 0, body: "text" };
const CLIENT: ClientParts = {
  connection: 1,
  kind: "socket",
  socket: undefined,
  domid: 0,
  port: 0,
  ring: undefined,
  input: new Uint8Array(0),
  output: messageBytes(REPLY),
  sentBytes: 0,
  isIgnored: false,
};

/** Descriptors have other numbers in another process; a ring's port is handed over apart. */
const SET_ANEW = /^connection \d: tag/;

let handed: HandedStore;
let places: Place[];
beforeAll(async () => {
  handed = await HandedStore.make();
  places = arenaPlaces(new Int32Array(handed.bytes.buffer));
}, TIMEOUT_MS);
afterAll(() => handed[Symbol.dispose]());

/** Of each place the lowest bit, the highest, and one between them; or just any one. */
function eachFlip(bits: "three" | "one", visit: (bytes: Uint8Array, name: string) => void): void {
  withSeed(SEED, (random) => {
    for (const { name, word } of places) {
      for (const bit of bits === "one" ? [random(32)] : [0, 1 + random(30), 31]) {
        const bytes = handed.bytes.slice();
        new Int32Array(bytes.buffer)[word]! ^= 1 << bit;
        visit(bytes, `${name}, bit ${bit}`);
      }
    }
  });
}

/** As a rehearsal begins; undefined: refused. */
function verifiedDigest(bytes: Uint8Array): string | undefined {
  const memory = new PlainMemory(0);
  memory.buffer = bytes.slice().buffer;
  try {
    return adoptStore(memory, new TestHost()).digest();
  } catch (error) {
    if (!(error instanceof StoreDamagedError)) throw error;
    expect(error.message).toMatch(/^Cannot \S+ /);
    return undefined;
  }
}

test("undamaged it is taken over", () => {
  expect(handed.dump).toContain("/w/child");
  expect(handed.rehearse(handed.bytes)).toEqual({ kind: "taken" });
  const { bytes, difference, roster } = handed;
  expect(handed.adopt(bytes, difference)).toEqual({ kind: "taken" });
  expect(handed.adopt(bytes, difference, roster)).toEqual({ kind: "taken" });
});

test("places of every kind are damaged", () => {
  const kinds = new Set(places.map(({ name }) => name.replace(/( \d+)?: .*$/, "")));
  const rows = ["connection", "domain", "node", "overlay", "transaction", "watch", "watchPath"];
  expect([...kinds]).toEqual(expect.arrayContaining(["header", "free", "rows", ...rows]));
  const blocks = ["domain", "log", "node", "overlay", "rows", "watch", "watchPath"];
  expect([...kinds]).toEqual(expect.arrayContaining(blocks.map((name) => `block of ${name}`)));
  const indexes = ["nodeIndex", "watchIndex", "overlayIndex"];
  expect([...kinds]).toEqual(expect.arrayContaining(["free block", "undo log", ...indexes]));
});

test(
  "a copy with any bit flipped is refused, or it is the same store",
  () => {
    const silent: string[] = [];
    let rehearsals = 0;
    eachFlip("three", (bytes, name) => {
      if (verifiedDigest(bytes) !== handed.digest) return;
      if (dumpOf(bytes) !== handed.dump && !SET_ANEW.test(name)) silent.push(name);
      if (rehearsals++ < REHEARSALS) expect(handed.rehearse(bytes)).toEqual({ kind: "taken" });
    });
    expect(silent).toEqual([]);
  },
  TIMEOUT_MS,
);

/** What a program looks at that takes over; all else is as the old one had it in its hands. */
const LOOKED_AT = [
  /^header: (first|last)(Connection|Domain)|^header: (connection|domain)Count/,
  /^header: (digest|word 23)/,
  /^connection \d: (number|domid|domain|target|previous|next\w*|firstTransaction|transactionCount)/,
  /^domain \d: (domid|connection|port|features|generation|frame|word 6|word 11|previous|next)/,
  /^transaction \d: (connection|id|next)/,
];

test.each(["at once", "standing by"] as const)(
  "%s: the arena itself with any bit flipped is refused, or taken as the old program had it",
  (how) => {
    const silent: string[] = [];
    let refused = 0;
    const roster = how === "at once" ? undefined : handed.roster;
    eachFlip("one", (bytes, name) => {
      const verdict = handed.adopt(bytes, handed.difference, roster);
      if (verdict.kind === "refused") refused++;
      else if (dumpOf(bytes) !== handed.dump && LOOKED_AT.some((place) => place.test(name))) {
        silent.push(name);
      }
    });
    expect(refused).toBeGreaterThan(0);
    expect(silent).toEqual([]);
  },
  TIMEOUT_MS,
);

test("a copy of any other length, or one that can be cut short, is refused", () => {
  for (const length of [0, 1, 4095, 4096, 8192, 65536]) {
    const said = handed.rehearse(handed.bytes.subarray(0, length), length);
    expect(said.kind).toBe("refused");
  }
  expect(handed.rehearse(handed.bytes, handed.bytes.length, false)).toEqual({
    kind: "refused",
    reason: expect.stringContaining("sealed against shrinking"),
  });
});

describe("the clients that are handed over", () => {
  const rows = (): DataView => {
    const { difference } = handed;
    return new DataView(difference.buffer, difference.byteOffset, difference.length);
  };
  const headEnd = (): number => 4 + rows().getUint32(0, true);

  test("cut short anywhere they are refused", () => {
    const { difference } = handed;
    const end = headEnd() + ROW_BYTES * decodeLiveParts(difference).head.clients.length + 200;
    for (let length = 0; length < end; length++) {
      expect(() => decodeLiveParts(difference.subarray(0, length))).toThrow(REFUSED);
    }
    const longer = Buffer.concat([difference, new Uint8Array(1)]);
    expect(() => decodeLiveParts(longer)).toThrow(REFUSED);
  });

  test(
    "any bit of them flipped, they are refused, or nothing is another client's",
    () => {
      const { difference } = handed;
      const undamaged = decodeLiveParts(difference);
      const rowsEnd = headEnd() + ROW_BYTES * undamaged.head.clients.length;
      let refused = 0;
      for (let at = 0; at < rowsEnd; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const bytes = difference.slice();
          bytes[at]! ^= 1 << bit;
          try {
            const { head, bytes: parts } = decodeLiveParts(bytes);
            // Other words: but as many clients, with the same bytes, each its own.
            expect(parts).toEqual(undamaged.bytes as typeof parts);
            expect(new Set(head.clients.map(({ connection }) => connection)).size).toBe(
              parts.length,
            );
            const word = at < headEnd() ? -1 : ((at - headEnd()) % ROW_BYTES) >> 2;
            if (![CONNECTION_WORD, PORT_WORD].includes(word)) continue;
            const kinds = [undefined, handed.roster].map(
              (roster) => handed.adopt(handed.bytes, bytes, roster).kind,
            );
            const client = undamaged.head.clients[Math.floor((at - headEnd()) / ROW_BYTES)]!;
            if (word !== CONNECTION_WORD && client.key !== null) continue;
            expect(kinds).toEqual(["refused", "refused"]);
          } catch (error) {
            if (!(error instanceof RefusedError)) throw error;
            expect(error.message).toMatch(REFUSED);
            refused++;
          }
        }
      }
      expect(refused).toBeGreaterThan(rowsEnd);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["a message in part", { output: messageBytes(REPLY).subarray(0, 17), sentBytes: 0 }],
    ["a header in part", { output: messageBytes(REPLY).subarray(0, 15), sentBytes: 0 }],
    ["a message with another length", { output: messageBytes(REPLY, 500), sentBytes: 0 }],
    ["more sent than the first message has", { output: messageBytes(REPLY), sentBytes: 21 }],
    ["something sent of nothing", { output: new Uint8Array(0), sentBytes: 1 }],
    ["a socket that nobody listens to", { isIgnored: true }],
  ])("%s is refused", (_, wrong) => {
    const client: ClientParts = { ...CLIENT, ...wrong };
    const rest = { listeners: [], events: null, pid_file: null, asker: null };
    const all = { listeners: [], events: undefined, clients: [client] };
    const bytes = encodeLiveParts(all, () => "client 1", rest);
    expect(() => decodeLiveParts(bytes)).toThrow(REFUSED);
    const twice = encodeLiveParts({ ...all, clients: [CLIENT, CLIENT] }, () => "client 1", rest);
    expect(() => decodeLiveParts(twice)).toThrow("a connection comes twice");
  });
});
