// Blocks of bytes in the arena: split from larger ones, merged with free neighbours again, found by
// size through lists of free blocks and a map of which lists are not empty (two-level segregated
// fit). Every word goes through the undo log; what a new block holds does not, since nothing refers
// to it when the operation is undone.

import { assert } from "../base/index.ts";
import { type Arena, StoreDamagedError } from "./arena.ts";
import {
  BIN_COUNT,
  BLOCK_HEAD_BYTES,
  BLOCK_UNIT_BYTES,
  HEADER,
  HEADER_AREA_BYTES,
} from "./layout.ts";

const FREE_BIT = 1;
const BIN_WORDS = Math.ceil(BIN_COUNT / 32);

/** The free list that a block of this size belongs to. */
export function binOf(bytes: number): number {
  if (bytes < 512) return bytes >> 4;
  const log = 31 - Math.clz32(bytes);
  return 32 + (log - 9) * 8 + ((bytes >> (log - 3)) & 7);
}

/** The first list all of whose blocks are at least so large. */
function binFor(bytes: number): number {
  if (bytes < 512) return bytes >> 4;
  const log = 31 - Math.clz32(bytes);
  return binOf(bytes + (1 << (log - 3)) - 1);
}

/** Size of the whole block for so many bytes of payload. */
export const blockBytesFor = (payloadBytes: number): number =>
  (payloadBytes + BLOCK_HEAD_BYTES + BLOCK_UNIT_BYTES - 1) & -BLOCK_UNIT_BYTES;

/** Bytes of payload that a used block can hold. */
export const capacityOf = (arena: Arena, block: number): number =>
  arena.words[block >> 2]! - BLOCK_HEAD_BYTES;

function link(arena: Arena, block: number, bytes: number): void {
  const bin = binOf(bytes);
  const head = arena.words[HEADER.bins + bin]!;
  const at = block >> 2;
  arena.set(at, bytes | FREE_BIT);
  arena.set(at + 2, head);
  arena.set(at + 3, 0);
  if (head !== 0) {
    arena.set((head >> 2) + 3, block);
  } else {
    const word = HEADER.binMap + (bin >> 5);
    arena.set(word, arena.words[word]! | (1 << (bin & 31)));
  }
  arena.set(HEADER.bins + bin, block);
  arena.set(HEADER.freeBlockBytes, arena.words[HEADER.freeBlockBytes]! + bytes);
}

function unlink(arena: Arena, block: number): number {
  const words = arena.words;
  const at = block >> 2;
  const bytes = words[at]! & ~FREE_BIT;
  const bin = binOf(bytes);
  const next = words[at + 2]!;
  const previous = words[at + 3]!;
  if (next !== 0) arena.set((next >> 2) + 3, previous);
  if (previous !== 0) {
    arena.set((previous >> 2) + 2, next);
  } else {
    arena.set(HEADER.bins + bin, next);
    if (next === 0) {
      const word = HEADER.binMap + (bin >> 5);
      arena.set(word, words[word]! & ~(1 << (bin & 31)));
    }
  }
  arena.set(HEADER.freeBlockBytes, words[HEADER.freeBlockBytes]! - bytes);
  return bytes;
}

/**
 * The first block of the list that this size belongs to, if it is large enough: what was freed last
 * is of the size that is asked for next more often than not.
 */
function firstOfSize(arena: Arena, bytes: number): number {
  const block = arena.words[HEADER.bins + binOf(bytes)]!;
  return block !== 0 && arena.words[block >> 2]! >= bytes ? block : 0;
}

/** A free block from this list on upwards; 0: there is none. */
function findFree(arena: Arena, bin: number): number {
  if (bin >= BIN_COUNT) return 0;
  const words = arena.words;
  let word = bin >> 5;
  let map = words[HEADER.binMap + word]! & (-1 << (bin & 31));
  while (map === 0) {
    word++;
    if (word === BIN_WORDS) return 0;
    map = words[HEADER.binMap + word]!;
  }
  const found = word * 32 + (31 - Math.clz32(map & -map));
  return words[HEADER.bins + found]!;
}

/** A new block behind the last one. */
function extend(arena: Arena, bytes: number): number {
  const block = arena.words[HEADER.endBytes]!;
  arena.grow(block + bytes);
  const last = arena.words[HEADER.lastBlock]!;
  const before = last === 0 ? 0 : arena.words[last >> 2]! & ~FREE_BIT;
  arena.set((block >> 2) + 1, before);
  arena.set(HEADER.lastBlock, block);
  arena.set(HEADER.endBytes, block + bytes);
  return block;
}

/** A block for so much payload, owned by the row (or one of OWNER). Gives its byte offset. */
export function allocate(arena: Arena, payloadBytes: number, owner: number): number {
  assert(payloadBytes >= 0, "a block has a size");
  const bytes = blockBytesFor(payloadBytes);
  let block = firstOfSize(arena, bytes) || findFree(arena, binFor(bytes));
  if (block === 0) {
    block = extend(arena, bytes);
  } else {
    const found = unlink(arena, block);
    // Its link in the list is where the payload begins: undone, the block is free again.
    arena.set((block >> 2) + 3, 0);
    if (found > bytes) split(arena, block, found, bytes);
  }
  const at = block >> 2;
  arena.set(at, bytes);
  arena.set(at + 2, owner);
  return block;
}

/** Gives what is behind the first `bytes` of an unlinked block back as a free one. */
function split(arena: Arena, block: number, found: number, bytes: number): void {
  const rest = block + bytes;
  arena.set((rest >> 2) + 1, bytes);
  const behind = block + found;
  if (behind < arena.words[HEADER.endBytes]!) arena.set((behind >> 2) + 1, found - bytes);
  else arena.set(HEADER.lastBlock, rest);
  link(arena, rest, found - bytes);
}

/** Frees a block when the operation is committed. */
export function release(arena: Arena, block: number): void {
  arena.deferred.push(block);
}

/** Frees a block now, merging it with its neighbours; at the end the arena gets shorter. */
function free(arena: Arena, block: number): void {
  const words = arena.words;
  const before = words[(block >> 2) + 1]!;
  let start = block;
  let bytes = words[block >> 2]!;
  const behind = block + bytes;
  if (before !== 0 && words[(block - before) >> 2]! & FREE_BIT) {
    start = block - before;
    bytes += unlink(arena, start);
  }
  if (behind < words[HEADER.endBytes]!) {
    if (words[behind >> 2]! & FREE_BIT) bytes += unlink(arena, behind);
  }
  if (start + bytes < words[HEADER.endBytes]!) {
    arena.set(((start + bytes) >> 2) + 1, bytes);
    link(arena, start, bytes);
    return;
  }
  const previous = words[(start >> 2) + 1]!;
  arena.set(HEADER.lastBlock, previous === 0 ? 0 : start - previous);
  arena.set(HEADER.endBytes, start);
}

/** Ends the operation: what it released is free, what it set is final. */
export function commit(arena: Arena): void {
  const deferred = arena.deferred;
  for (let index = 0; index < deferred.length; index++) free(arena, deferred[index]!);
  deferred.length = 0;
  arena.seal();
}

/** Every block in order of place. */
export function* blocksOf(
  arena: Arena,
): Generator<{ block: number; bytes: number; isFree: boolean }> {
  const end = arena.words[HEADER.endBytes]!;
  for (let block = HEADER_AREA_BYTES; block < end;) {
    const word = arena.words[block >> 2]!;
    const bytes = word & ~FREE_BIT;
    if (!(bytes > 0)) {
      throw new StoreDamagedError(`Cannot adopt the store: a block of ${bytes} bytes`);
    }
    yield { block, bytes, isFree: (word & FREE_BIT) !== 0 };
    block += bytes;
  }
}
