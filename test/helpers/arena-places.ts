// Where things stand in an arena, by name: every word of the header, of some rows of each kind, of
// each kind of block, of each index and of the undo log. What is damaged there is to be noticed.

import {
  BLOCK_HEAD_BYTES,
  CONNECTION,
  DOMAIN,
  HEADER,
  HEADER_AREA_BYTES,
  INDEX,
  KIND,
  KIND_MASK,
  NODE,
  OVERLAY,
  OWNER,
  ROW,
  ROW_WORDS,
  TRANSACTION,
  WATCH,
  WATCH_PATH,
} from "../../lib/xenstore/layout.ts";
import { ROWS_PER_BLOCK } from "../../lib/xenstore/rows.ts";

export interface Place {
  readonly name: string;
  readonly word: number;
}

const ROWS_OF_A_KIND = 2;
const BLOCKS_OF_A_KIND = 2;
const PAYLOAD_WORDS = 3;
const SLOTS = 4;
const LOG_WORDS = 12;
const SPARSE_EVERY = 32;

const FIELDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  free: ROW,
  rows: { kind: 0, next: 1, count: 2 },
  node: NODE,
  connection: CONNECTION,
  domain: DOMAIN,
  watchPath: WATCH_PATH,
  watch: WATCH,
  transaction: TRANSACTION,
  overlay: OVERLAY,
};
const KIND_NAMES = new Map<number, string>(
  Object.entries(KIND).map(([name, kind]) => [kind, name]),
);
const OWNER_NAMES = new Map<number, string>(
  Object.entries(OWNER).map(([name, owner]) => [owner, name]),
);

/** Of words that have two, the second is named by its number. */
function fieldName(fields: Readonly<Record<string, number>>, word: number): string {
  const found = Object.entries(fields).find(([, at]) => at === word);
  return found?.[0] ?? `word ${word}`;
}

/** Of the free lists those that are not empty, and some that are; some words that nobody uses. */
function* headerPlaces(words: Int32Array): Generator<Place> {
  const end = HEADER_AREA_BYTES / 4;
  for (let word = 0; word < end; word++) {
    const isSparse = word >= HEADER.bins && words[word] === 0;
    if (isSparse && word % SPARSE_EVERY !== 0) continue;
    yield { name: `header: ${fieldName(HEADER, word)}`, word };
  }
}

function* rowPlaces(words: Int32Array): Generator<Place> {
  const seen = new Map<string, number>();
  for (let head = words[HEADER.firstRows]!; head !== 0; head = words[head * ROW_WORDS + 1]!) {
    for (let row = head; row <= head + ROWS_PER_BLOCK; row++) {
      const kind = KIND_NAMES.get(words[row * ROW_WORDS]! & KIND_MASK) ?? "none";
      const count = seen.get(kind) ?? 0;
      seen.set(kind, count + 1);
      if (count >= ROWS_OF_A_KIND) continue;
      for (let at = 0; at < ROW_WORDS; at++) {
        const name = fieldName({ kind: 0, ...FIELDS[kind] }, at);
        yield { name: `${kind} ${count + 1}: ${name}`, word: row * ROW_WORDS + at };
      }
    }
  }
}

function* blockPlaces(words: Int32Array): Generator<Place> {
  const seen = new Map<string, number>();
  const end = words[HEADER.endBytes]!;
  for (let block = HEADER_AREA_BYTES; block < end;) {
    const at = block >> 2;
    const bytes = words[at]! & ~1;
    const owner = words[at + 2]!;
    const kind = owner > 0 ? KIND_NAMES.get(words[owner * ROW_WORDS]! & KIND_MASK) : undefined;
    const isFree = (words[at]! & 1) !== 0;
    const name = isFree ? "free block" : `block of ${kind ?? OWNER_NAMES.get(owner)}`;
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    if (count < BLOCKS_OF_A_KIND) {
      const places = ["size", "before", isFree ? "next" : "owner"];
      for (let word = 0; word < PAYLOAD_WORDS; word++) places.push(`payload ${word}`);
      for (const [word, what] of places.entries()) {
        yield { name: `${name} ${count + 1}: ${what}`, word: at + word };
      }
      yield { name: `${name} ${count + 1}: last word`, word: at + bytes / 4 - 1 };
    }
    block += bytes;
  }
}

function* indexPlaces(words: Int32Array): Generator<Place> {
  for (const index of ["nodeIndex", "watchIndex", "overlayIndex"] as const) {
    const at = HEADER[index];
    const table = (words[at + INDEX.table]! + BLOCK_HEAD_BYTES) >> 2;
    const slots = Array.from({ length: words[at + INDEX.mask]! + 1 }, (_, slot) => slot);
    const isUsed = (slot: number): boolean => words[table + slot * 2 + 1] !== 0;
    for (const [what, some] of [
      ["used", slots.filter(isUsed)],
      ["empty", slots.filter((slot) => !isUsed(slot))],
    ] as const) {
      for (const slot of some.slice(0, SLOTS)) {
        yield { name: `${index}: hash of ${what} slot`, word: table + slot * 2 };
        yield { name: `${index}: row of ${what} slot`, word: table + slot * 2 + 1 };
      }
    }
  }
}

function* logPlaces(words: Int32Array): Generator<Place> {
  const log = (words[HEADER.logBlock]! + BLOCK_HEAD_BYTES) >> 2;
  for (let word = 0; word < LOG_WORDS; word++) {
    yield { name: `undo log: word ${word}`, word: log + word };
  }
}

export const arenaPlaces = (words: Int32Array): Place[] => [
  ...headerPlaces(words),
  ...rowPlaces(words),
  ...blockPlaces(words),
  ...indexPlaces(words),
  ...logPlaces(words),
];
