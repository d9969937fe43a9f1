// Compaction: blocks near the end move into free ones further down, a few at a time, each move an
// operation of its own, so that the arena can end earlier. Rows and the undo log stay where they
// are.

import type { Core } from "./core.ts";
import { allocate, capacityOf, commit, release } from "./heap.ts";
import {
  DOMAIN,
  HEADER,
  HEADER_AREA_BYTES,
  INDEX,
  KIND,
  KIND_MASK,
  NODE,
  OVERLAY,
  OWNER,
  ROW_WORDS,
  WATCH,
  WATCH_PATH,
} from "./layout.ts";
import { copyBytes } from "./bytes-copy.ts";

const MOVES_MAX = 32;
const LOOKS_MAX = 256;
/** Less free space than this is not worth the work. */
const FREE_BYTES_MIN = 256 * 1024;

/** The word that names a block, by the kind of row that owns it. */
function linkOf(core: Core, block: number, owner: number): number {
  const { words } = core.arena;
  if (owner === OWNER.nodeIndex) return HEADER.nodeIndex + INDEX.table;
  if (owner === OWNER.watchIndex) return HEADER.watchIndex + INDEX.table;
  if (owner === OWNER.overlayIndex) return HEADER.overlayIndex + INDEX.table;
  if (owner < 0) return 0;
  const at = owner * ROW_WORDS;
  const kind = words[at]! & KIND_MASK;
  if (kind === KIND.node) return at + NODE.block;
  if (kind === KIND.domain) return at + DOMAIN.block;
  if (kind === KIND.watchPath) return at + WATCH_PATH.block;
  if (kind === KIND.watch) return at + WATCH.block;
  return words[at + OVERLAY.block] === block ? at + OVERLAY.block : at + OVERLAY.content;
}

/** Moves one block down; false: it cannot, or there is no room. */
function moveDown(core: Core, block: number): boolean {
  const { arena } = core;
  const owner = arena.words[(block >> 2) + 2]!;
  const link = linkOf(core, block, owner);
  if (link === 0) return false;
  const bytes = capacityOf(arena, block);
  const fresh = allocate(arena, bytes, owner);
  if (fresh > block) {
    arena.undo();
    return false;
  }
  copyBytes(arena.bytes, fresh + 12, arena.bytes, block + 12, bytes);
  arena.set(link, fresh);
  release(arena, block);
  commit(arena);
  return true;
}

/** A little of it; true while there is more to do. */
export function compact(core: Core): boolean {
  const { words } = core.arena;
  const wasted = (): number => words[HEADER.freeBlockBytes]!;
  if (wasted() < Math.max(FREE_BYTES_MIN, words[HEADER.endBytes]! >> 3)) return false;
  let moves = 0;
  let block = words[HEADER.lastBlock]!;
  for (let looks = 0; looks < LOOKS_MAX && moves < MOVES_MAX; looks++) {
    if (block <= HEADER_AREA_BYTES) break;
    const before = words[(block >> 2) + 1]!;
    const isFree = (words[block >> 2]! & 1) !== 0;
    const next = block - before;
    if (!isFree && moveDown(core, block)) {
      moves++;
      // Neighbours may have merged: from the end again.
      block = words[HEADER.lastBlock]!;
      continue;
    }
    block = before === 0 ? 0 : next;
  }
  return moves > 0 && wasted() >= FREE_BYTES_MIN;
}
