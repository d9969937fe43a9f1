// The nodes of the store itself: finding, making, writing, removing.

import { assert } from "../base/index.ts";
import { account, QUOTA } from "./account.ts";
import { marked } from "./access.ts";
import { type Arena, StoreDamagedError } from "./arena.ts";
import { copyBytes } from "./bytes-copy.ts";
import type { Core } from "./core.ts";
import { allocate, capacityOf, commit, release } from "./heap.ts";
import { firstSlot, insert, nextSlot, remove } from "./index-table.ts";
import { HEADER, KIND, KIND_MASK, NODE, ROW_WORDS } from "./layout.ts";
import {
  nameBytesOf,
  permissionCountOf,
  permissionsAtOf,
  ownerOf,
  chargeOf,
  addToDigest,
  firstSumOf,
  secondSumOf,
  digestNode,
  contentSumOf,
} from "./node.ts";
import { type Path, pathSum, ROOT_SUM } from "./path.ts";
import { allocateRow, freeRow } from "./rows.ts";

const SLASH = 47;
/** Freed nodes of a removed subtree in one operation. */
const RECLAIM_COUNT = 64;

// ---- Finding --------------------------------------------------------------------------------

/** Whether a node's path is the first `end` bytes. Follows its parents up to the root. */
function isPath(arena: Arena, node: number, bytes: Uint8Array, end: number): boolean {
  const { words, bytes: mine } = arena;
  let position = end;
  for (let row = node; ;) {
    const at = row * ROW_WORDS;
    const name = words[at + NODE.name]!;
    const length = name & 0xffff;
    if (length === 0) return position === 0;
    const start = position - length;
    if (start < 0) return false;
    const nameAt = words[at + NODE.block]! + 12 + (name >>> 16) * 4;
    for (let index = 0; index < length; index++) {
      if (mine[nameAt + index] !== bytes[start + index]) return false;
    }
    const parent = words[at + NODE.parent]!;
    if (parent === 0) return start === 0; // A special node; the top of a removed subtree never.
    if (start === 0 || bytes[start - 1] !== SLASH) return false;
    position = start - 1;
    row = parent;
  }
}

/** The node of the path's first `level` names; 0: there is none. */
export function findNode(core: Core, path: Path, level: number): number {
  const { arena } = core;
  const words = arena.words;
  const hash = path.hashes[level]!;
  const index = HEADER.nodeIndex;
  for (let at = firstSlot(arena, index, hash); ; at = nextSlot(arena, index, at)) {
    const row = words[at + 1]!;
    if (row === 0) return 0;
    if (words[at] === hash && isPath(arena, row, path.bytes, path.ends[level]!)) return row;
  }
}

// ---- Making and writing ---------------------------------------------------------------------

/** What a new node holds. */
export interface Content {
  permissions: Int32Array;
  permissionsAt: number;
  permissionCount: number;
  /** -1: as the list says. */
  owner: number;
  value: Uint8Array;
  valueAt: number;
  valueBytes: number;
  generation: number;
}

/** A node at this level of the path, behind the last child of its parent (0: it has none). */
export function addNode(
  core: Core,
  path: Path,
  level: number,
  parent: number,
  content: Content,
): number {
  const { arena } = core;
  const { permissionCount: count, valueBytes } = content;
  const start = level === 0 ? 0 : path.nameStart(level);
  const nameBytes = path.ends[level]! - start;
  const padded = (nameBytes + 3) & ~3;
  const row = allocateRow(arena, KIND.node);
  const at = row * ROW_WORDS;
  const list = content.permissions === arena.words; // May be replaced by the next line.
  const value = content.value === arena.bytes;
  const block = allocate(arena, count * 4 + padded + valueBytes, row);
  const { words, bytes } = arena;
  const permissions = list ? words : content.permissions;
  const payload = block + 12;
  for (let index = 0; index < count; index++) {
    words[(payload >> 2) + index] = permissions[content.permissionsAt + index]!;
  }
  if (content.owner >= 0) {
    words[payload >> 2] = (content.owner << 8) | (words[payload >> 2]! & 0xff);
  }
  copyBytes(bytes, payload + count * 4, path.bytes, start, nameBytes);
  const source = value ? bytes : content.value;
  copyBytes(bytes, payload + count * 4 + padded, source, content.valueAt, valueBytes);
  // The row was saved when it was allocated.
  words[at + NODE.hash] = path.hashes[level]!;
  words[at + NODE.block] = block;
  words[at + NODE.name] = nameBytes | (count << 16);
  words[at + NODE.valueBytes] = valueBytes;
  words[at + NODE.pathBytes] = path.ends[level]!;
  words[at + NODE.generation] = content.generation | 0;
  words[at + NODE.generation + 1] = Math.floor(content.generation / 2 ** 32);
  const sum = parent === 0 ? ROOT_SUM : words[parent * ROW_WORDS + NODE.pathSum]!;
  words[at + NODE.pathSum] = pathSum(
    sum,
    path.bytes,
    path.ends[Math.max(0, level - 1)]!,
    path.ends[level]!,
  );
  words[at + NODE.contentSum] = contentSumOf(arena, row);
  insert(arena, HEADER.nodeIndex, path.hashes[level]!, row);
  arena.set(HEADER.nodeCount, arena.words[HEADER.nodeCount]! + 1);
  digestNode(core, row, 1);
  if (parent !== 0) appendChild(core, parent, row);
  const owner = ownerOf(arena, row);
  account(core, owner, QUOTA.nodes, 1);
  account(core, owner, QUOTA.memory, chargeOf(arena, row));
  return row;
}

/** Links a node behind the last child; its parent's charge grows by its name. */
function appendChild(core: Core, parent: number, row: number): void {
  const { arena } = core;
  const above = parent * ROW_WORDS;
  const at = row * ROW_WORDS;
  const last = arena.words[above + NODE.lastChild]!;
  arena.set(at + NODE.parent, parent);
  arena.set(at + NODE.previous, last);
  arena.set(at + NODE.next, 0);
  if (last === 0) arena.set(above + NODE.firstChild, row);
  else arena.set(last * ROW_WORDS + NODE.next, row);
  arena.set(above + NODE.lastChild, row);
  const added = nameBytesOf(arena, row) + 1;
  arena.set(above + NODE.childBytes, arena.words[above + NODE.childBytes]! + added);
  account(core, ownerOf(arena, parent), QUOTA.memory, added);
}

function unlinkChild(core: Core, row: number): void {
  const { arena } = core;
  const { words } = arena;
  const at = row * ROW_WORDS;
  const parent = words[at + NODE.parent]!;
  const above = parent * ROW_WORDS;
  const previous = words[at + NODE.previous]!;
  const next = words[at + NODE.next]!;
  if (previous === 0) arena.set(above + NODE.firstChild, next);
  else arena.set(previous * ROW_WORDS + NODE.next, next);
  if (next === 0) arena.set(above + NODE.lastChild, previous);
  else arena.set(next * ROW_WORDS + NODE.previous, previous);
  const taken = nameBytesOf(arena, row) + 1;
  arena.set(above + NODE.childBytes, words[above + NODE.childBytes]! - taken);
}

/** Makes a node the last child of its parent. */
export function moveToEnd(core: Core, row: number): void {
  const at = row * ROW_WORDS;
  const parent = core.arena.words[at + NODE.parent]!;
  if (core.arena.words[at + NODE.next] === 0) return;
  unlinkChild(core, row);
  account(core, ownerOf(core.arena, parent), QUOTA.memory, -(nameBytesOf(core.arena, row) + 1));
  appendChild(core, parent, row);
}

/** A node counts as written: a new generation; entries that stopped to count are marked. */
export function touch(core: Core, row: number, generation: number): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  const before = arena.get64(at + NODE.generation);
  digestNode(core, row, -1);
  if (markStale(core, row, before)) arena.set(at + NODE.contentSum, contentSumOf(arena, row));
  arena.set64(at + NODE.generation, generation);
  digestNode(core, row, 1);
}

function markStale(core: Core, row: number, generation: number): boolean {
  const { arena } = core;
  const count = permissionCountOf(arena, row);
  let isChanged = false;
  for (let index = 1; index < count; index++) {
    const at = permissionsAtOf(arena, row) + index;
    const word = marked(core, arena.words[at]!, index, generation);
    if (word === arena.words[at]) continue;
    arena.set(at, word);
    isChanged = true;
  }
  return isChanged;
}

/** Gives a node a value. `source` must not be the arena unless it is the node's own old block. */
export function writeValue(
  core: Core,
  row: number,
  source: Uint8Array,
  from: number,
  length: number,
  generation: number,
): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  digestNode(core, row, -1);
  if (permissionCountOf(arena, row) > 1) markStale(core, row, arena.get64(at + NODE.generation));
  const name = arena.words[at + NODE.name]!;
  const head = (name >>> 16) * 4 + (((name & 0xffff) + 3) & ~3);
  const before = arena.words[at + NODE.valueBytes]!;
  const block = arena.words[at + NODE.block]!;
  const capacity = capacityOf(arena, block);
  if (head + length <= capacity && capacity <= 2 * (head + length) + 64) {
    const valueAt = block + 12 + head;
    if (length > 0) arena.save(valueAt >> 2, (length + 3) >> 2);
    copyBytes(arena.bytes, valueAt, source, from, length);
  } else {
    const fresh = allocate(arena, head + length, row);
    copyBytes(arena.bytes, fresh + 12, arena.bytes, block + 12, head);
    copyBytes(arena.bytes, fresh + 12 + head, source, from, length);
    arena.set(at + NODE.block, fresh);
    release(arena, block);
  }
  if (before !== length) {
    arena.set(at + NODE.valueBytes, length);
    account(core, ownerOf(arena, row), QUOTA.memory, length - before);
  }
  arena.set(at + NODE.contentSum, contentSumOf(arena, row));
  arena.set64(at + NODE.generation, generation);
  digestNode(core, row, 1);
}

/** Gives a node a list of permissions, and so perhaps another owner. */
export function writePermissions(
  core: Core,
  row: number,
  list: Int32Array,
  from: number,
  count: number,
  generation: number,
): void {
  const { arena } = core;
  assert(count > 0, "a node has an owner");
  assert(list !== arena.words, "a list that is written does not stand in the arena");
  const at = row * ROW_WORDS;
  digestNode(core, row, -1);
  account(core, ownerOf(arena, row), QUOTA.nodes, -1);
  account(core, ownerOf(arena, row), QUOTA.memory, -chargeOf(arena, row));
  const name = arena.words[at + NODE.name]!;
  const old = arena.words[at + NODE.block]!;
  const rest = (((name & 0xffff) + 3) & ~3) + arena.words[at + NODE.valueBytes]!;
  const block = allocate(arena, count * 4 + rest, row);
  copyBytes(arena.bytes, block + 12 + count * 4, arena.bytes, old + 12 + (name >>> 16) * 4, rest);
  for (let index = 0; index < count; index++) {
    arena.words[((block + 12) >> 2) + index] = marked(core, list[from + index]!, index, generation);
  }
  release(arena, old);
  arena.set(at + NODE.block, block);
  arena.set(at + NODE.name, (name & 0xffff) | (count << 16));
  arena.set(at + NODE.contentSum, contentSumOf(arena, row));
  arena.set64(at + NODE.generation, generation);
  digestNode(core, row, 1);
  account(core, ownerOf(arena, row), QUOTA.nodes, 1);
  account(core, ownerOf(arena, row), QUOTA.memory, chargeOf(arena, row));
}

// ---- Removing -------------------------------------------------------------------------------

/** The node behind this one when a subtree is walked from its top, parents first; 0: the end. */
export function nextInSubtree(arena: Arena, top: number, row: number): number {
  const { words } = arena;
  const child = words[row * ROW_WORDS + NODE.firstChild]!;
  if (child !== 0) return child;
  for (let at = row; at !== top; at = words[at * ROW_WORDS + NODE.parent]!) {
    const next = words[at * ROW_WORDS + NODE.next]!;
    if (next !== 0) return next;
  }
  return 0;
}

/**
 * Takes a node and all below it out of the store: they are not found any more, and not counted.
 * Their rows are freed by reclaim(), so that what there is to undo does not grow with the subtree.
 */
export function removeSubtree(core: Core, top: number): number {
  const { arena } = core;
  const parent = arena.words[top * ROW_WORDS + NODE.parent]!;
  assert(parent !== 0, "the root and the special nodes stay");
  let first = 0;
  let second = 0;
  let count = 0;
  let owner = ownerOf(arena, top);
  let nodes = 0;
  let bytes = 0;
  for (let row = top; row !== 0; row = nextInSubtree(arena, top, row)) {
    const at = row * ROW_WORDS;
    first = (first + firstSumOf(arena.words, at)) | 0;
    second = (second + secondSumOf(arena.words, at)) | 0;
    count++;
    if (ownerOf(arena, row) !== owner) {
      account(core, owner, QUOTA.nodes, -nodes);
      account(core, owner, QUOTA.memory, -bytes);
      owner = ownerOf(arena, row);
      nodes = 0;
      bytes = 0;
    }
    nodes++;
    bytes += chargeOf(arena, row);
  }
  account(core, owner, QUOTA.nodes, -nodes);
  account(core, owner, QUOTA.memory, -bytes);
  addToDigest(core, first, second, -1);
  arena.set(HEADER.nodeCount, arena.words[HEADER.nodeCount]! - count);
  unlinkChild(core, top);
  account(core, ownerOf(arena, parent), QUOTA.memory, -(nameBytesOf(arena, top) + 1));
  const at = top * ROW_WORDS;
  arena.set(at + NODE.parent, 0);
  arena.set(at + NODE.previous, 0);
  arena.set(at + NODE.next, arena.words[HEADER.reclaim]!);
  arena.set(HEADER.reclaim, top);
  return count;
}

/** Frees rows of removed subtrees, leaves first, in operations of their own. */
export function reclaim(core: Core): void {
  const { arena } = core;
  while (arena.words[HEADER.reclaim] !== 0) {
    for (let count = 0; count < RECLAIM_COUNT && arena.words[HEADER.reclaim] !== 0; count++) {
      const { words } = arena;
      let row = removedRow(words, words[HEADER.reclaim]!, 0);
      while (words[row * ROW_WORDS + NODE.firstChild] !== 0) {
        row = removedRow(words, words[row * ROW_WORDS + NODE.firstChild]!, row);
      }
      const at = row * ROW_WORDS;
      const parent = words[at + NODE.parent]!;
      if (parent === 0) arena.set(HEADER.reclaim, words[at + NODE.next]!);
      else arena.set(parent * ROW_WORDS + NODE.firstChild, words[at + NODE.next]!);
      remove(arena, HEADER.nodeIndex, words[at + NODE.hash]!, row);
      release(arena, words[at + NODE.block]!);
      freeRow(arena, row);
    }
    commit(arena);
  }
}

/** What is to be freed is a node, and where it was found: else it would be somebody else's. */
function removedRow(words: Int32Array, row: number, parent: number): number {
  const at = row * ROW_WORDS;
  const isNode = row > 0 && (words[at]! & KIND_MASK) === KIND.node;
  if (isNode && words[at + NODE.parent] === parent) return row;
  throw new StoreDamagedError(`Cannot free row ${row}: it is no removed node`);
}
