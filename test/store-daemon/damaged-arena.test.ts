// What a live update hands over, damaged anywhere: the new program refuses it in words, or it makes
// no difference. Never does it crash, hang or grow, and the old one goes on with what is left.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { adoptStore, StoreDamagedError } from "../../lib/xenstore/index.ts";
import { arenaPlaces, type Place } from "../helpers/arena-places.ts";
import { dumpOf, HandedStore } from "../helpers/handed-store.ts";
import { withSeed } from "../helpers/pieces.ts";
import { PlainMemory, TestHost } from "../helpers/xenstore-core.ts";

const SEED = Math.floor(Math.random() * 2 ** 31);
const TIMEOUT_MS = 60_000;
/** Rehearsals are long: the others are of the part that verifies. */
const REHEARSALS = 8;

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
  expect(handed.adopt(handed.bytes, handed.difference)).toEqual({ kind: "taken" });
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

test(
  "the arena itself with any bit flipped is refused, or taken as the old program had it",
  () => {
    const silent: string[] = [];
    let refused = 0;
    eachFlip("one", (bytes, name) => {
      const verdict = handed.adopt(bytes, handed.difference);
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
