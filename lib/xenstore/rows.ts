// Rows of 64 bytes, taken from blocks that hold 255 of them and never move. A row is named by its
// byte offset divided by 64; `row * 16` is its first word.

import type { Arena } from "./arena.ts";
import { allocate } from "./heap.ts";
import { BLOCK_HEAD_BYTES, HEADER, KIND, OWNER, ROW, ROW_BYTES, ROW_WORDS } from "./layout.ts";

/** Rows behind the first one of a block of rows. */
export const ROWS_PER_BLOCK = 255;

function addRows(arena: Arena): void {
  const payload = (ROWS_PER_BLOCK + 2) * ROW_BYTES; // One more, since the first is aligned.
  const block = allocate(arena, payload, OWNER.rows);
  const head = Math.ceil((block + BLOCK_HEAD_BYTES) / ROW_BYTES);
  const words = arena.words;
  const at = head * ROW_WORDS;
  // The block is new: nothing here needs the undo log.
  words[at] = KIND.rows;
  words[at + 1] = words[HEADER.firstRows]!;
  words[at + 2] = ROWS_PER_BLOCK;
  for (let row = head + 1; row <= head + ROWS_PER_BLOCK; row++) {
    words[row * ROW_WORDS] = KIND.free;
    words[row * ROW_WORDS + ROW.nextFree] = row === head + ROWS_PER_BLOCK ? 0 : row + 1;
  }
  arena.set(HEADER.firstRows, head);
  arena.set(HEADER.freeRow, head + 1);
}

/** A row of this kind. Its other words hold anything: the caller sets all that the kind has. */
export function allocateRow(arena: Arena, kind: number): number {
  if (arena.words[HEADER.freeRow] === 0) addRows(arena);
  const row = arena.words[HEADER.freeRow]!;
  const at = row * ROW_WORDS;
  arena.set(HEADER.freeRow, arena.words[at + ROW.nextFree]!);
  arena.save(at, ROW_WORDS);
  arena.words.fill(0, at, at + ROW_WORDS);
  arena.words[at] = kind;
  arena.set(HEADER.usedRows, arena.words[HEADER.usedRows]! + 1);
  return row;
}

/** Whoever had the row has set its words by then; it may be handed out again at once. */
export function freeRow(arena: Arena, row: number): void {
  const at = row * ROW_WORDS;
  arena.set(at, KIND.free);
  arena.set(at + ROW.nextFree, arena.words[HEADER.freeRow]!);
  arena.set(HEADER.freeRow, row);
  arena.set(HEADER.usedRows, arena.words[HEADER.usedRows]! - 1);
}

/** Rows of the block whose first row this is. */
export const rowsBehind = (arena: Arena, head: number): number =>
  arena.words[head * ROW_WORDS + 2]!;
