// Watches: who is told when a path changes. Watches of one path hang on a row for that path, found
// by the path's hash; an event looks at its own path and at each path above.

import { account, QUOTA } from "./account.ts";
import { permissionFor } from "./access.ts";
import { copyBytes, finish, join, sumBytes } from "./bytes-copy.ts";
import type { Core } from "./core.ts";
import { allocate, release } from "./heap.ts";
import { firstSlot, insert, nextSlot, remove } from "./index-table.ts";
import {
  CONNECTION,
  HEADER,
  KIND,
  KIND_MASK,
  NODE,
  ROW_WORDS,
  WATCH,
  WATCH_PATH,
} from "./layout.ts";
import { type Path, pathSum, ROOT_SUM } from "./path.ts";
import { PERMISSION } from "./permission.ts";
import { allocateRow, freeRow } from "./rows.ts";
import { addToDigest, permissionCountOf, permissionsAtOf } from "./node.ts";

/** Which watches an event at a path is for. */
export const MATCH = {
  /** Of this very path. */
  exact: 0,
  /** Of this path and of those above, as deep as they look. */
  subtree: 1,
  /** The same, but of those above only such as have a depth: "@releaseDomain/5". */
  depth: 2,
  /** Of this very path, unless they have a depth. */
  noDepth: 3,
} as const;

const PATH_SALT = 0x3c6e_f372;
const ROOT_TEXT = Buffer.from("/");

/** Permissions that decide who may see an event: of the node, its parent, the node before. */
export interface Audience {
  words: Int32Array;
  at: number;
  /** 0: there is no such node. */
  count: number;
  generation: number;
}
const nobody = (): Audience => ({ words: new Int32Array(0), at: 0, count: 0, generation: 0 });
export const AUDIENCE = { node: nobody(), parent: nobody(), before: nobody() };

export function setAudience(
  audience: Audience,
  words: Int32Array,
  at: number,
  count: number,
  generation: number,
): void {
  audience.words = words;
  audience.at = at;
  audience.count = count;
  audience.generation = generation;
}

/** Takes the permissions of a node of the store; 0: it is not there. */
export function showTo(core: Core, audience: Audience, node: number): void {
  const { arena } = core;
  if (node === 0) {
    setAudience(audience, arena.words, 0, 0, 0);
    return;
  }
  const generation = arena.get64(node * ROW_WORDS + NODE.generation);
  const at = permissionsAtOf(arena, node);
  setAudience(audience, arena.words, at, permissionCountOf(arena, node), generation);
}

// ---- Finding --------------------------------------------------------------------------------

/** The row of the path's first `level` names if somebody watches it; 0: nobody does. */
export function findWatchPath(core: Core, path: Path, level: number): number {
  const { words, bytes } = core.arena;
  const hash = path.hashes[level]! ^ PATH_SALT;
  const end = path.ends[level]!;
  const index = HEADER.watchIndex;
  for (let at = firstSlot(core.arena, index, hash); ; at = nextSlot(core.arena, index, at)) {
    const row = words[at + 1]!;
    if (row === 0) return 0;
    if (words[at] !== hash) continue;
    const where = row * ROW_WORDS;
    if ((words[where]! & KIND_MASK) !== KIND.watchPath) continue;
    if (words[where + WATCH_PATH.pathBytes] !== end) continue;
    const text = words[where + WATCH_PATH.block]! + 12;
    let same = 0;
    while (same < end && bytes[text + same] === path.bytes[same]) same++;
    if (same === end) return row;
  }
}

const watchHash = (pathHash: number, tokenSum: number, connection: number): number =>
  join(pathHash ^ tokenSum, connection);

function tokenSumOf(source: Uint8Array, from: number, length: number): number {
  return finish(pathSum(ROOT_SUM, source, from, from + length));
}

/** The watch of this connection on this path with this token; 0: there is none. */
export function findWatch(
  core: Core,
  connection: number,
  path: Path,
  token: Uint8Array,
  from: number,
  length: number,
): number {
  const pathRow = findWatchPath(core, path, path.levels);
  if (pathRow === 0) return 0;
  const { words, bytes } = core.arena;
  const hash = watchHash(path.hashes[path.levels]!, tokenSumOf(token, from, length), connection);
  const index = HEADER.watchIndex;
  for (let at = firstSlot(core.arena, index, hash); ; at = nextSlot(core.arena, index, at)) {
    const row = words[at + 1]!;
    if (row === 0) return 0;
    const where = row * ROW_WORDS;
    if (words[at] !== hash || (words[where]! & KIND_MASK) !== KIND.watch) continue;
    if (words[where + WATCH.path] !== pathRow) continue;
    if (words[where + WATCH.connection] !== connection) continue;
    if (words[where + WATCH.tokenBytes] !== length) continue;
    const text = words[where + WATCH.block]! + 12;
    let same = 0;
    while (same < length && bytes[text + same] === token[from + same]) same++;
    if (same === length) return row;
  }
}

// ---- Adding and removing --------------------------------------------------------------------

function addWatchPath(core: Core, path: Path): number {
  const { arena } = core;
  const row = allocateRow(arena, KIND.watchPath);
  const block = allocate(arena, path.length, row);
  copyBytes(arena.bytes, block + 12, path.bytes, 0, path.length);
  const at = row * ROW_WORDS;
  const hash = path.hashes[path.levels]! ^ PATH_SALT;
  arena.words[at + WATCH_PATH.hash] = hash;
  arena.words[at + WATCH_PATH.block] = block;
  arena.words[at + WATCH_PATH.pathBytes] = path.length;
  arena.words[at + WATCH_PATH.levels] = path.levels;
  arena.words[at + WATCH_PATH.pathSum] = pathSum(ROOT_SUM, path.bytes, 0, path.length);
  insert(arena, HEADER.watchIndex, hash, row);
  return row;
}

/** What the C daemon charges for a watch: its path and its token. */
export const chargeOfWatch = (pathBytes: number, tokenBytes: number): number =>
  Math.max(1, pathBytes) + tokenBytes;

/** Adds a watch of the path in core.path, behind all others of its connection. */
export function addWatch(
  core: Core,
  connection: number,
  depth: number,
  token: Uint8Array,
  from: number,
  length: number,
): number {
  const { arena, path } = core;
  const pathRow = findWatchPath(core, path, path.levels) || addWatchPath(core, path);
  const row = allocateRow(arena, KIND.watch);
  const block = allocate(arena, length, row);
  copyBytes(arena.bytes, block + 12, token, from, length);
  const { words } = arena;
  const at = row * ROW_WORDS;
  const tokenSum = tokenSumOf(token, from, length);
  const hash = watchHash(path.hashes[path.levels]!, tokenSum, connection);
  const client = connection * ROW_WORDS;
  const last = words[client + CONNECTION.lastWatch]!;
  const pathLast = words[pathRow * ROW_WORDS + WATCH_PATH.last]!;
  const domid = words[client + CONNECTION.domid]!;
  const sequence = arena.get64(HEADER.watchSequence) + 1;
  arena.set64(HEADER.watchSequence, sequence);
  words[at + WATCH.hash] = hash; // The row was saved when it was allocated.
  words[at + WATCH.connection] = connection;
  words[at + WATCH.previous] = last;
  words[at + WATCH.path] = pathRow;
  words[at + WATCH.pathPrevious] = pathLast;
  words[at + WATCH.depth] = depth;
  words[at + WATCH.block] = block;
  words[at + WATCH.tokenBytes] = length;
  words[at + WATCH.sequence] = sequence | 0;
  words[at + WATCH.sequence + 1] = Math.floor(sequence / 2 ** 32);
  words[at + WATCH.prefixBytes] = path.prefixBytes;
  words[at + WATCH.sum] = watchSum(core, row, domid);
  if (last === 0) arena.set(client + CONNECTION.firstWatch, row);
  else arena.set(last * ROW_WORDS + WATCH.next, row);
  arena.set(client + CONNECTION.lastWatch, row);
  arena.set(client + CONNECTION.watchCount, words[client + CONNECTION.watchCount]! + 1);
  if (pathLast === 0) arena.set(pathRow * ROW_WORDS + WATCH_PATH.first, row);
  else arena.set(pathLast * ROW_WORDS + WATCH.pathNext, row);
  arena.set(pathRow * ROW_WORDS + WATCH_PATH.last, row);
  const watchers = words[pathRow * ROW_WORDS + WATCH_PATH.count]! + 1;
  arena.set(pathRow * ROW_WORDS + WATCH_PATH.count, watchers);
  insert(arena, HEADER.watchIndex, hash, row);
  arena.set(HEADER.watchCount, arena.words[HEADER.watchCount]! + 1);
  digestWatch(core, row, 1);
  account(core, domid, QUOTA.watches, 1);
  account(core, domid, QUOTA.memory, chargeOfWatch(path.length, length));
  return row;
}

/** What a watch adds to the digest, wherever it stands. */
export function watchSum(core: Core, row: number, domid: number): number {
  const { words } = core.arena;
  const at = row * ROW_WORDS;
  const path = words[words[at + WATCH.path]! * ROW_WORDS + WATCH_PATH.pathSum]!;
  const token = sumBytes(words, words[at + WATCH.block]! + 12, words[at + WATCH.tokenBytes]!, 2);
  const shown = join(path, words[at + WATCH.prefixBytes]!);
  return join(join(shown, token), join(words[at + WATCH.depth]!, domid));
}

function digestWatch(core: Core, row: number, sign: 1 | -1): void {
  const sum = core.arena.words[row * ROW_WORDS + WATCH.sum]!;
  addToDigest(core, sum, join(sum, KIND.watch), sign);
}

export function removeWatch(core: Core, row: number): void {
  const { arena } = core;
  const { words } = arena;
  const at = row * ROW_WORDS;
  digestWatch(core, row, -1);
  const client = words[at + WATCH.connection]! * ROW_WORDS;
  const previous = words[at + WATCH.previous]!;
  const next = words[at + WATCH.next]!;
  if (previous === 0) arena.set(client + CONNECTION.firstWatch, next);
  else arena.set(previous * ROW_WORDS + WATCH.next, next);
  if (next === 0) arena.set(client + CONNECTION.lastWatch, previous);
  else arena.set(next * ROW_WORDS + WATCH.previous, previous);
  arena.set(client + CONNECTION.watchCount, words[client + CONNECTION.watchCount]! - 1);
  const pathRow = words[at + WATCH.path]!;
  const where = pathRow * ROW_WORDS;
  const before = words[at + WATCH.pathPrevious]!;
  const behind = words[at + WATCH.pathNext]!;
  if (before === 0) arena.set(where + WATCH_PATH.first, behind);
  else arena.set(before * ROW_WORDS + WATCH.pathNext, behind);
  if (behind === 0) arena.set(where + WATCH_PATH.last, before);
  else arena.set(behind * ROW_WORDS + WATCH.pathPrevious, before);
  arena.set(where + WATCH_PATH.count, words[where + WATCH_PATH.count]! - 1);
  remove(arena, HEADER.watchIndex, words[at + WATCH.hash]!, row);
  release(arena, words[at + WATCH.block]!);
  arena.set(HEADER.watchCount, words[HEADER.watchCount]! - 1);
  const domid = words[client + CONNECTION.domid]!;
  const charge = chargeOfWatch(words[where + WATCH_PATH.pathBytes]!, words[at + WATCH.tokenBytes]!);
  account(core, domid, QUOTA.watches, -1);
  account(core, domid, QUOTA.memory, -charge);
  freeRow(arena, row);
  if (words[where + WATCH_PATH.count] !== 0) return;
  remove(arena, HEADER.watchIndex, words[where + WATCH_PATH.hash]!, pathRow);
  release(arena, words[where + WATCH_PATH.block]!);
  freeRow(arena, pathRow);
}

// ---- Events ---------------------------------------------------------------------------------

/** First watch of each path that an event is for, and the level of that path. */
const cursors = new Int32Array(4200);
const cursorLevels = new Int32Array(4200);

const mayRead = (core: Core, connection: number, by: Audience): boolean =>
  by.count > 0 &&
  (permissionFor(core, connection, by.words, by.at, by.count, by.generation) & PERMISSION.read) !==
    0;

/** Whether a connection may know that the node has changed: by AUDIENCE. */
function isPermitted(core: Core, connection: number): boolean {
  const { node, parent, before } = AUDIENCE;
  if (mayRead(core, connection, before)) return true;
  return node.count > 0 && (mayRead(core, connection, node) || mayRead(core, connection, parent));
}

function isMeant(match: number, isSame: boolean, depth: number, below: number): boolean {
  if (match === MATCH.exact) return isSame;
  if (match === MATCH.noDepth) return isSame && depth < 0;
  if (match === MATCH.depth) return isSame || (depth > 0 && below <= depth);
  return depth < 0 || below <= depth;
}

/**
 * Puts aside an event for each watch that it is for, in the order the watches were made. Who may
 * see it stands in AUDIENCE.
 */
export function fire(core: Core, path: Path, level: number, match: number): void {
  const { words } = core.arena;
  if (words[HEADER.watchCount] === 0) return;
  const isAlone = match === MATCH.exact || match === MATCH.noDepth;
  let count = 0;
  for (let at = isAlone ? level : path.isSpecial ? 1 : 0; at <= level; at++) {
    const row = findWatchPath(core, path, at);
    if (row === 0) continue;
    cursors[count] = words[row * ROW_WORDS + WATCH_PATH.first]!;
    cursorLevels[count++] = at;
  }
  if (count === 0) return;
  if (level === 0) core.events.setPath(ROOT_TEXT, 1);
  else core.events.setPath(path.bytes, path.ends[level]!);
  let permitted = -1;
  for (let left = count; left > 0;) {
    let first = -1;
    for (let cursor = 0; cursor < count; cursor++) {
      if (cursors[cursor] === 0) continue;
      if (first < 0 || isEarlier(words, cursors[cursor]!, cursors[first]!)) first = cursor;
    }
    const row = cursors[first]!;
    const at = row * ROW_WORDS;
    const below = level - cursorLevels[first]!;
    if (isMeant(match, below === 0, words[at + WATCH.depth]!, below)) {
      const connection = words[at + WATCH.connection]!;
      if (connection === permitted || isPermitted(core, connection)) {
        permitted = connection;
        core.events.add(row);
      }
    }
    cursors[first] = words[at + WATCH.pathNext]!;
    if (cursors[first] === 0) left--;
  }
}

const isEarlier = (words: Int32Array, one: number, other: number): boolean => {
  const first = one * ROW_WORDS + WATCH.sequence;
  const second = other * ROW_WORDS + WATCH.sequence;
  if (words[first + 1] !== words[second + 1]) return words[first + 1]! < words[second + 1]!;
  return words[first]! >>> 0 < words[second]! >>> 0;
};

/** Fires for a node of the store that is there; AUDIENCE.before is set by the caller. */
export function fireNode(core: Core, path: Path, node: number, match: number): void {
  const { words } = core.arena;
  const parent = words[node * ROW_WORDS + NODE.parent]!;
  showTo(core, AUDIENCE.node, node);
  showTo(core, AUDIENCE.parent, parent === 0 ? words[HEADER.root]! : parent);
  fire(core, path, path.levels, match);
}

export const noneBefore = (core: Core): void =>
  setAudience(AUDIENCE.before, core.arena.words, 0, 0, 0);

/**
 * Takes the idle mark from all that have an event coming: a program that is killed between making
 * the operation final and sending them then does not count them among those that missed nothing.
 */
export function disturb(core: Core): void {
  const { words } = core.arena;
  const { events } = core;
  const count = events.count;
  for (let index = 0; index < count; index++) {
    const client = words[events.watchOf(index) * ROW_WORDS + WATCH.connection]! * ROW_WORDS;
    words[client + CONNECTION.idle] = 0;
  }
}

/** Queues the events that were put aside. */
export function sendEvents(core: Core): void {
  const { events } = core;
  const count = events.count;
  for (let index = 0; index < count; index++) {
    const { words, bytes } = core.arena;
    const at = events.watchOf(index) * ROW_WORDS;
    const client = words[at + WATCH.connection]! * ROW_WORDS;
    const outbox = core.host.outboxOf(words[client + CONNECTION.number]!);
    const token = words[at + WATCH.block]! + 12;
    events.send(
      index,
      words[at + WATCH.prefixBytes]!,
      outbox,
      bytes,
      token,
      words[at + WATCH.tokenBytes]!,
    );
  }
  events.clear();
}
