// Open-addressed indexes: pairs of hash and row in a table of a power of two, linear probing,
// deletion by moving back what was displaced (so that there are no tombstones). Whoever looks
// something up walks the slots itself and compares what the rows say:
//
//   for (let at = firstSlot(arena, INDEX_AT, hash); ; at = nextSlot(arena, INDEX_AT, at)) {
//     const row = arena.words[at + 1]!;
//     if (row === 0) ...not there...
//     if (arena.words[at] === hash && same(row)) ...found...
//   }

import { type Arena, StoreDamagedError } from "./arena.ts";
import { allocate, release } from "./heap.ts";
import { BLOCK_HEAD_BYTES, INDEX } from "./layout.ts";

const SLOTS_MIN = 64;

/** First word of the table. */
export const tableOf = (arena: Arena, index: number): number =>
  (arena.words[index + INDEX.table]! + BLOCK_HEAD_BYTES) >> 2;

/** Word of the slot where a hash belongs. */
export const firstSlot = (arena: Arena, index: number, hash: number): number =>
  tableOf(arena, index) + ((hash & arena.words[index + INDEX.mask]!) << 1);

/** Word of the slot behind. */
export function nextSlot(arena: Arena, index: number, at: number): number {
  const table = tableOf(arena, index);
  return table + ((((at - table) >> 1) + 1) & arena.words[index + INDEX.mask]!) * 2;
}

export function createIndex(arena: Arena, index: number, owner: number): void {
  arena.set(index + INDEX.owner, owner);
  arena.set(index + INDEX.count, 0);
  useTable(arena, index, SLOTS_MIN);
}

/** A new, empty table. Its block is new: filling it needs no undo log. */
function useTable(arena: Arena, index: number, slots: number): void {
  const block = allocate(arena, slots * 8, arena.words[index + INDEX.owner]!);
  const at = (block + BLOCK_HEAD_BYTES) >> 2;
  arena.words.fill(0, at, at + slots * 2);
  arena.set(index + INDEX.table, block);
  arena.set(index + INDEX.mask, slots - 1);
}

function enlarge(arena: Arena, index: number): void {
  const old = arena.words[index + INDEX.table]!;
  const oldAt = tableOf(arena, index);
  const slots = arena.words[index + INDEX.mask]! + 1;
  useTable(arena, index, slots * 2);
  const words = arena.words;
  const table = tableOf(arena, index);
  const mask = slots * 2 - 1;
  for (let from = oldAt; from < oldAt + slots * 2; from += 2) {
    if (words[from + 1] === 0) continue;
    let slot = words[from]! & mask;
    while (words[table + slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
    words[table + slot * 2] = words[from]!;
    words[table + slot * 2 + 1] = words[from + 1]!;
  }
  release(arena, old);
}

export function insert(arena: Arena, index: number, hash: number, row: number): void {
  const count = arena.words[index + INDEX.count]! + 1;
  const mask = arena.words[index + INDEX.mask]!;
  if (count * 4 > (mask + 1) * 3) enlarge(arena, index);
  let at = firstSlot(arena, index, hash);
  while (arena.words[at + 1] !== 0) at = nextSlot(arena, index, at);
  arena.set(at, hash);
  arena.set(at + 1, row);
  arena.set(index + INDEX.count, count);
}

/** Takes the row out; it must be there: else StoreDamagedError. */
export function remove(arena: Arena, index: number, hash: number, row: number): void {
  const words = arena.words;
  const table = tableOf(arena, index);
  const mask = words[index + INDEX.mask]!;
  let hole = hash & mask;
  for (let found; (found = words[table + hole * 2 + 1]) !== row; hole = (hole + 1) & mask) {
    if (!found) throw new StoreDamagedError(`Cannot find row ${row}: its index is damaged`);
  }
  for (let slot = (hole + 1) & mask; words[table + slot * 2 + 1] !== 0; slot = (slot + 1) & mask) {
    // It may move into the hole unless its own place is behind the hole.
    const home = words[table + slot * 2]! & mask;
    if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
    arena.set(table + hole * 2, words[table + slot * 2]!);
    arena.set(table + hole * 2 + 1, words[table + slot * 2 + 1]!);
    hole = slot;
  }
  arena.set(table + hole * 2 + 1, 0);
  arena.set(index + INDEX.count, words[index + INDEX.count]! - 1);
}
