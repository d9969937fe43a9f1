// What a transaction sees and has changed: a copy of each node it has touched, made at the first
// touch, with the generation that the node had then. Reading a node that is not there is remembered
// too. Commit (transaction.ts) compares the generations and carries the copies over.

import { account, isTooMuch, QUOTA } from "./account.ts";
import { marked } from "./access.ts";
import type { Arena } from "./arena.ts";
import { copyBytes, finish, join, sumBytes } from "./bytes-copy.ts";
import { type Core, type View, viewNode } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { allocate, release } from "./heap.ts";
import { firstSlot, insert, nextSlot, remove } from "./index-table.ts";
import {
  CONNECTION,
  HEADER,
  KIND,
  NODE,
  OVERLAY,
  OVERLAY_FIRE_MASK,
  OVERLAY_MODIFIED_MASK,
  OVERLAY_PRESENT_MASK,
  OVERLAY_SUBTREE_MASK,
  ROW_WORDS,
  TRANSACTION,
  TRANSACTION_FAILED_MASK,
} from "./layout.ts";
import { type Path, pathSum, ROOT_SUM } from "./path.ts";
import { allocateRow, freeRow } from "./rows.ts";
import { addToDigest, nameAtOf, nameBytesOf, nodeBytesFor } from "./node.ts";
import { findNode } from "./tree.ts";
import { MATCH } from "./watch.ts";

const EMPTY = new Uint8Array(0);

export const hasFlag = (arena: Arena, row: number, mask: number): boolean =>
  (arena.words[row * ROW_WORDS]! & mask) !== 0;

export function setFlags(arena: Arena, row: number, mask: number): void {
  const at = row * ROW_WORDS;
  if ((arena.words[at]! & mask) !== mask) arena.set(at, arena.words[at]! | mask);
}

export const failTransaction = (core: Core, transaction: number): void =>
  setFlags(core.arena, transaction, TRANSACTION_FAILED_MASK);

/** Whether the node was not there at the first touch. */
export const wasAbsent = (arena: Arena, row: number): boolean =>
  arena.words[row * ROW_WORDS + OVERLAY.base + 1] === -1;

export const pathBytesOf = (arena: Arena, row: number): number =>
  arena.words[row * ROW_WORDS + OVERLAY.path]! & 0xffff;
export const pathAtOf = (arena: Arena, row: number): number =>
  arena.words[row * ROW_WORDS + OVERLAY.block]! + 12;
/** Permissions at the first touch: word of the first one, and how many. */
export const beforeAtOf = (arena: Arena, row: number): number =>
  (pathAtOf(arena, row) + ((pathBytesOf(arena, row) + 3) & ~3)) >> 2;
export const beforeCountOf = (arena: Arena, row: number): number =>
  arena.words[row * ROW_WORDS + OVERLAY.path]! >>> 16;

const contentAt = (arena: Arena, at: number): number => arena.words[at + OVERLAY.content]! + 12;
const childrenAt = (arena: Arena, at: number): number =>
  contentAt(arena, at) +
  arena.words[at + OVERLAY.permissions]! * 4 +
  ((arena.words[at + OVERLAY.valueBytes]! + 3) & ~3);

/** Byte offset of the names of its children. */
export const childrenAtOf = (arena: Arena, row: number): number =>
  childrenAt(arena, row * ROW_WORDS);

/** Loads the view with a node as the transaction has it. */
export function viewOverlay(core: Core, view: View, row: number): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  const content = contentAt(arena, at);
  view.row = row;
  view.isOverlay = true;
  view.permissionsAt = content >> 2;
  view.permissionCount = arena.words[at + OVERLAY.permissions]!;
  view.valueAt = content + view.permissionCount * 4;
  view.valueBytes = arena.words[at + OVERLAY.valueBytes]!;
  view.childBytes = arena.words[at + OVERLAY.childBytes]!;
  view.generation = arena.get64(at + OVERLAY.generation);
}

// ---- Digest and charge ----------------------------------------------------------------------

/** What an overlay adds to the digest, wherever it stands. */
export function overlaySum(arena: Arena, row: number): number {
  const { words } = arena;
  const at = row * ROW_WORDS;
  const path = pathAtOf(arena, row);
  const name = finish(pathSum(ROOT_SUM, arena.bytes, path, path + pathBytesOf(arena, row)));
  const flags = words[at]! & ~0xff;
  const base = join(words[at + OVERLAY.base]!, words[at + OVERLAY.base + 1]! ^ flags);
  const own = join(words[at + OVERLAY.generation]!, words[at + OVERLAY.generation + 1]!);
  let content = 0;
  if (words[at + OVERLAY.content] !== 0) {
    const from = contentAt(arena, at);
    const to = childrenAt(arena, at);
    const value = from + words[at + OVERLAY.permissions]! * 4;
    content = sumBytes(words, from, value - from, 3);
    content = sumBytes(words, value, words[at + OVERLAY.valueBytes]!, content);
    content = sumBytes(words, to, words[at + OVERLAY.childBytes]!, content);
  }
  return join(join(name, base), join(own, content));
}

function takeFromDigest(core: Core, row: number): void {
  const sum = core.arena.words[row * ROW_WORDS + OVERLAY.sum]!;
  addToDigest(core, sum, join(sum, KIND.overlay), -1);
}

function putToDigest(core: Core, row: number): void {
  const sum = overlaySum(core.arena, row);
  core.arena.set(row * ROW_WORDS + OVERLAY.sum, sum);
  addToDigest(core, sum, join(sum, KIND.overlay), 1);
}

/** What the C daemon counts for its copy of the node: it is stored as "<generation>/<path>". */
export function chargeOfOverlay(arena: Arena, row: number): number {
  if (!hasFlag(arena, row, OVERLAY_PRESENT_MASK)) return 0;
  const at = row * ROW_WORDS;
  const { words } = arena;
  const transaction = words[at + OVERLAY.transaction]! * ROW_WORDS;
  let digits = 1;
  for (let rest = arena.get64(transaction + TRANSACTION.generation); rest >= 10; rest /= 10)
    digits++;
  return (
    nodeBytesFor(
      words[at + OVERLAY.permissions]!,
      words[at + OVERLAY.valueBytes]!,
      words[at + OVERLAY.childBytes]!,
    ) +
    digits +
    1 +
    Math.max(1, pathBytesOf(arena, row))
  );
}

function charge(core: Core, row: number, sign: 1 | -1): void {
  const { arena } = core;
  const transaction = arena.words[row * ROW_WORDS + OVERLAY.transaction]! * ROW_WORDS;
  const client = arena.words[transaction + TRANSACTION.connection]! * ROW_WORDS;
  const domid = arena.words[client + CONNECTION.domid]!;
  account(core, domid, QUOTA.memory, sign * chargeOfOverlay(arena, row));
}

// ---- Finding and first touch ----------------------------------------------------------------

export function findOverlay(core: Core, transaction: number, path: Path, level: number): number {
  const { arena } = core;
  const { words, bytes } = arena;
  const end = path.ends[level]!;
  const hash = join(path.hashes[level]!, transaction);
  const index = HEADER.overlayIndex;
  for (let at = firstSlot(arena, index, hash); ; at = nextSlot(arena, index, at)) {
    const row = words[at + 1]!;
    if (row === 0) return 0;
    if (words[at] !== hash || words[row * ROW_WORDS + OVERLAY.transaction] !== transaction)
      continue;
    if (pathBytesOf(arena, row) !== end) continue;
    const text = pathAtOf(arena, row);
    let same = 0;
    while (same < end && bytes[text + same] === path.bytes[same]) same++;
    if (same === end) return row;
  }
}

/** The transaction touches a path for the first time. 0: it may not touch any more. */
function touchFirst(core: Core, transaction: number, path: Path, level: number): number {
  const { arena } = core;
  const count = arena.words[transaction * ROW_WORDS + TRANSACTION.nodeCount]! + 1;
  if (isTooMuch(core, QUOTA.transactionNodes, count)) {
    failTransaction(core, transaction);
    return 0;
  }
  const node = findNode(core, path, level);
  const end = path.ends[level]!;
  const padded = (end + 3) & ~3;
  const row = allocateRow(arena, KIND.overlay);
  const at = row * ROW_WORDS;
  const permissions = node === 0 ? 0 : arena.words[node * ROW_WORDS + NODE.name]! >>> 16;
  const block = allocate(arena, padded + permissions * 4, row);
  copyBytes(arena.bytes, block + 12, path.bytes, 0, end);
  arena.bytes.fill(0, block + 12 + end, block + 12 + padded);
  const hash = join(path.hashes[level]!, transaction);
  const { words } = arena;
  words[at + OVERLAY.hash] = hash; // The row was saved when it was allocated.
  words[at + OVERLAY.transaction] = transaction;
  words[at + OVERLAY.block] = block;
  words[at + OVERLAY.path] = end | (permissions << 16);
  if (node === 0) {
    words[at + OVERLAY.base] = -1;
    words[at + OVERLAY.base + 1] = -1;
  } else {
    copyNode(core, row, node, (block + 12 + padded) >> 2);
  }
  const last = arena.words[transaction * ROW_WORDS + TRANSACTION.lastNode]!;
  if (last === 0) arena.set(transaction * ROW_WORDS + TRANSACTION.firstNode, row);
  else arena.set(last * ROW_WORDS + OVERLAY.next, row);
  arena.set(transaction * ROW_WORDS + TRANSACTION.lastNode, row);
  arena.set(transaction * ROW_WORDS + TRANSACTION.nodeCount, count);
  insert(arena, HEADER.overlayIndex, hash, row);
  putToDigest(core, row);
  charge(core, row, 1);
  return row;
}

/** Copies a node: its permissions twice, to `before` and with value and children to the content. */
function copyNode(core: Core, row: number, node: number, before: number): void {
  const { arena, other: view } = core;
  viewNode(core, view, node);
  const { permissionCount: count, valueBytes, childBytes, generation } = view;
  const padded = (valueBytes + 3) & ~3;
  const block = allocate(arena, count * 4 + padded + childBytes, row);
  const { words, bytes } = arena;
  const content = (block + 12) >> 2;
  for (let index = 0; index < count; index++) {
    const word = marked(core, words[view.permissionsAt + index]!, index, generation);
    words[before + index] = word;
    words[content + index] = word;
  }
  copyBytes(bytes, block + 12 + count * 4, bytes, view.valueAt, valueBytes);
  putChildNames(arena, node, bytes, block + 12 + count * 4 + padded);
  const at = row * ROW_WORDS;
  words[at] = words[at]! | OVERLAY_PRESENT_MASK;
  words[at + OVERLAY.content] = block;
  words[at + OVERLAY.permissions] = count;
  words[at + OVERLAY.valueBytes] = valueBytes;
  words[at + OVERLAY.childBytes] = childBytes;
  words[at + OVERLAY.childBase] = childBytes;
  for (let word = 0; word < 2; word++) {
    words[at + OVERLAY.base + word] = words[node * ROW_WORDS + NODE.generation + word]!;
    words[at + OVERLAY.generation + word] = words[node * ROW_WORDS + NODE.generation + word]!;
  }
}

/** Writes the names of a node's children, a NUL behind each. */
export function putChildNames(arena: Arena, node: number, target: Uint8Array, to: number): void {
  const { words, bytes } = arena;
  let at = to;
  let child = words[node * ROW_WORDS + NODE.firstChild]!;
  for (; child !== 0; child = words[child * ROW_WORDS + NODE.next]!) {
    const length = nameBytesOf(arena, child);
    copyBytes(target, at, bytes, nameAtOf(arena, child), length);
    target[at + length] = 0;
    at += length + 1;
  }
}

/**
 * Loads the view with the node at this level, as the request's transaction (or everybody) sees it.
 * An errno: ENOENT, or ENOSPC when the transaction may not touch any more.
 */
export function look(core: Core, view: View, path: Path, level: number): number {
  const { transaction } = core.request;
  view.row = 0;
  if (transaction === 0) {
    const node = findNode(core, path, level);
    if (node === 0) return ERRNO.ENOENT;
    viewNode(core, view, node);
    return 0;
  }
  const row =
    findOverlay(core, transaction, path, level) || touchFirst(core, transaction, path, level);
  if (row === 0) return ERRNO.ENOSPC;
  if (!hasFlag(core.arena, row, OVERLAY_PRESENT_MASK)) return ERRNO.ENOENT;
  viewOverlay(core, view, row);
  return 0;
}

// ---- Changing -------------------------------------------------------------------------------

/** What an overlay's content is to be made of; arrays may be the arena's own. */
export class Parts {
  list: Int32Array = new Int32Array(0);
  listAt = 0;
  count = 0;
  value: Uint8Array = EMPTY;
  valueAt = 0;
  valueBytes = 0;
  children: Uint8Array = EMPTY;
  childrenFrom = 0;
  childBytes = 0;
  /** Of the children's names these bytes are left out. */
  cutAt = 0;
  cutBytes = 0;
  /** Behind the children's names comes this one and a NUL. */
  name: Uint8Array = EMPTY;
  nameAt = 0;
  nameBytes = 0;

  /** Everything as it is. */
  load(core: Core, view: View): void {
    const { words, bytes } = core.arena;
    this.list = words;
    this.listAt = view.permissionsAt;
    this.count = view.permissionCount;
    this.value = bytes;
    this.valueAt = view.valueAt;
    this.valueBytes = view.valueBytes;
    this.children = bytes;
    this.childrenFrom = childrenAtOf(core.arena, view.row);
    this.childBytes = view.childBytes;
    this.cutBytes = 0;
    this.nameBytes = 0;
  }
}
export const PARTS = new Parts();

/** Writes a node in the transaction: the content that PARTS says, and a new generation. */
export function writeOverlay(core: Core, row: number): void {
  const { arena } = core;
  const parts = PARTS;
  const at = row * ROW_WORDS;
  takeFromDigest(core, row);
  charge(core, row, -1);
  const added = parts.nameBytes === 0 ? 0 : parts.nameBytes + 1;
  const childBytes = parts.childBytes - parts.cutBytes + added;
  const padded = (parts.valueBytes + 3) & ~3;
  const old = arena.words[at + OVERLAY.content]!;
  const block = allocate(arena, parts.count * 4 + padded + childBytes, row);
  const { words, bytes } = arena;
  const list = (block + 12) >> 2;
  for (let index = 0; index < parts.count; index++) {
    words[list + index] = parts.list[parts.listAt + index]!;
  }
  const value = block + 12 + parts.count * 4;
  copyBytes(bytes, value, parts.value, parts.valueAt, parts.valueBytes);
  const { children, childrenFrom: from, cutBytes } = parts;
  const cut = cutBytes === 0 ? parts.childBytes : parts.cutAt;
  const names = value + padded;
  copyBytes(bytes, names, children, from, cut);
  const rest = parts.childBytes - cut - cutBytes;
  if (rest > 0) copyBytes(bytes, names + cut, children, from + cut + cutBytes, rest);
  if (added > 0) {
    copyBytes(bytes, names + cut + rest, parts.name, parts.nameAt, parts.nameBytes);
    bytes[names + childBytes - 1] = 0;
  }
  if (old !== 0) release(arena, old);
  arena.set(at + OVERLAY.content, block);
  arena.set(at + OVERLAY.permissions, parts.count);
  arena.set(at + OVERLAY.valueBytes, parts.valueBytes);
  arena.set(at + OVERLAY.childBytes, childBytes);
  if (cutBytes > 0 && parts.cutAt < arena.words[at + OVERLAY.childBase]!) {
    arena.set(at + OVERLAY.childBase, 0);
  }
  setFlags(arena, row, OVERLAY_PRESENT_MASK | OVERLAY_MODIFIED_MASK);
  arena.set64(at + OVERLAY.generation, core.nextGeneration());
  putToDigest(core, row);
  charge(core, row, 1);
}

/** The node is not there any more in the transaction. */
export function deleteOverlay(core: Core, row: number): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  takeFromDigest(core, row);
  charge(core, row, -1);
  const content = arena.words[at + OVERLAY.content]!;
  if (content !== 0) release(arena, content);
  arena.set(at + OVERLAY.content, 0);
  arena.set(at + OVERLAY.permissions, 0);
  arena.set(at + OVERLAY.valueBytes, 0);
  arena.set(at + OVERLAY.childBytes, 0);
  arena.set(at + OVERLAY.childBase, 0);
  arena.set(at, (arena.words[at]! & ~OVERLAY_PRESENT_MASK) | OVERLAY_MODIFIED_MASK);
  arena.set64(at + OVERLAY.generation, core.nextGeneration());
  putToDigest(core, row);
}

/** Watches of the node fire when the transaction is committed. */
export function fireLater(core: Core, row: number, match: number): void {
  takeFromDigest(core, row);
  setFlags(core.arena, row, OVERLAY_FIRE_MASK);
  if (match === MATCH.subtree) setFlags(core.arena, row, OVERLAY_SUBTREE_MASK);
  putToDigest(core, row);
}

/** The transaction ends: what it kept of the node goes. */
export function dropOverlay(core: Core, row: number): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  takeFromDigest(core, row);
  charge(core, row, -1);
  remove(arena, HEADER.overlayIndex, arena.words[at + OVERLAY.hash]!, row);
  release(arena, arena.words[at + OVERLAY.block]!);
  const content = arena.words[at + OVERLAY.content]!;
  if (content !== 0) release(arena, content);
  freeRow(arena, row);
}
