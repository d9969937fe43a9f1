// Clients and domains as they come and go.

import { assert } from "../base/index.ts";
import { findDomain, forgetDomain, knowDomain } from "./account.ts";
import { StoreDamagedError } from "./arena.ts";
import { dropAll } from "./client-operations.ts";
import type { Core } from "./core.ts";
import {
  CONNECTION,
  DOMAIN,
  DOMAIN_INTRODUCED_MASK,
  DOMAIN_SHUTDOWN_MASK,
  HEADER,
  KIND,
  KIND_MASK,
  NODE,
  ROW_WORDS,
  TRANSACTION,
} from "./layout.ts";
import { domidOf } from "./permission.ts";
import { allocateRow, freeRow } from "./rows.ts";
import { nameAtOf, nameBytesOf, ownerOf, permissionCountOf, permissionsAtOf } from "./node.ts";
import { writePermissions } from "./tree.ts";
import { AUDIENCE, fire, MATCH, setAudience, showTo } from "./watch.ts";
import { removeTree } from "./remove-operation.ts";

/** The lowest number that no connection has. */
function freeNumber(core: Core): number {
  const { connectionRows } = core;
  let number = 1;
  while (number < connectionRows.length && connectionRows[number] !== 0) number++;
  return number;
}

/**
 * A new connection, behind the others; `domain` is the row of the domain whose ring it is, or 0.
 */
export function addConnection(
  core: Core,
  domid: number,
  { domain, tag }: { readonly domain: number; readonly tag: number },
): number {
  const { arena, connectionRows } = core;
  const row = allocateRow(arena, KIND.connection);
  const at = row * ROW_WORDS;
  const number = freeNumber(core);
  const last = arena.words[HEADER.lastConnection]!;
  arena.set(at + CONNECTION.number, number);
  arena.set(at + CONNECTION.domid, domid);
  arena.set(at + CONNECTION.tag, tag);
  arena.set(at + CONNECTION.domain, domain);
  arena.set(at + CONNECTION.target, -1);
  arena.set(at + CONNECTION.previous, last);
  if (last === 0) arena.set(HEADER.firstConnection, row);
  else arena.set(last * ROW_WORDS + CONNECTION.next, row);
  arena.set(HEADER.lastConnection, row);
  arena.set(HEADER.connectionCount, arena.words[HEADER.connectionCount]! + 1);
  connectionRows[number] = row;
  return row;
}

export function removeConnection(core: Core, row: number): void {
  const { arena, connectionRows } = core;
  dropAll(core, row);
  const { words } = arena;
  const at = row * ROW_WORDS;
  const previous = words[at + CONNECTION.previous]!;
  const next = words[at + CONNECTION.next]!;
  if (previous === 0) arena.set(HEADER.firstConnection, next);
  else arena.set(previous * ROW_WORDS + CONNECTION.next, next);
  if (next === 0) arena.set(HEADER.lastConnection, previous);
  else arena.set(next * ROW_WORDS + CONNECTION.previous, previous);
  arena.set(HEADER.connectionCount, words[HEADER.connectionCount]! - 1);
  connectionRows[words[at + CONNECTION.number]!] = 0;
  freeRow(arena, row);
}

/** Numbers of connections are small: the lowest that is free is taken. */
const NUMBER_END = 2 ** 20;

/**
 * Rows by number and by domid, from what the arena says: after adopting it, or undoing. Throws
 * StoreDamagedError where a list leads elsewhere: an arena that was not verified is adopted too.
 */
export function findAgain(core: Core): void {
  const { arena, connectionRows, domainRows } = core;
  const { words } = arena;
  connectionRows.length = 1;
  domainRows.fill(0);
  let before = 0;
  let row = words[HEADER.firstConnection]!;
  let left = words[HEADER.connectionCount]!;
  for (; row !== 0; row = words[row * ROW_WORDS + CONNECTION.next]!) {
    if (left-- <= 0 || !isRow(words, row, KIND.connection)) throw lost("connections", row);
    const at = row * ROW_WORDS;
    const number = words[at + CONNECTION.number]!;
    const isFit = number > 0 && number < NUMBER_END && words[at + CONNECTION.previous] === before;
    const domain = words[at + CONNECTION.domain]!;
    const isOwn = domain === 0 || isRow(words, domain, KIND.domain);
    if (!isFit || !isOwn) throw lost("connections", row);
    while (connectionRows.length < number) connectionRows.push(0);
    connectionRows[number] = row;
    refuseLostTransactions(words, row);
    before = row;
  }
  if (left !== 0 || words[HEADER.lastConnection] !== before) throw lost("connections", 0);
  before = 0;
  row = words[HEADER.firstDomain]!;
  left = words[HEADER.domainCount]!;
  for (; row !== 0; row = words[row * ROW_WORDS + DOMAIN.next]!) {
    if (left-- <= 0 || !isRow(words, row, KIND.domain)) throw lost("domains", row);
    const at = row * ROW_WORDS;
    const domid = words[at + DOMAIN.domid]!;
    const isFit = domid >= 0 && domid < domainRows.length && words[at + DOMAIN.previous] === before;
    const connection = words[at + DOMAIN.connection]!;
    const isOwn = connection === 0 || words[connection * ROW_WORDS + CONNECTION.domain] === row;
    if (!isFit || !isOwn) throw lost("domains", row);
    domainRows[domid] = row;
    before = row;
  }
  if (left !== 0 || words[HEADER.lastDomain] !== before) throw lost("domains", 0);
}

/** They are few, and everything that is done in one begins with this list. */
function refuseLostTransactions(words: Int32Array, connection: number): void {
  const at = connection * ROW_WORDS;
  let left = words[at + CONNECTION.transactionCount]!;
  let row = words[at + CONNECTION.firstTransaction]!;
  for (; row !== 0; row = words[row * ROW_WORDS + TRANSACTION.next]!) {
    if (left-- <= 0 || !isRow(words, row, KIND.transaction)) throw lost("transactions", row);
    if (words[row * ROW_WORDS + TRANSACTION.connection] !== connection)
      throw lost("transactions", row);
  }
  if (left !== 0) throw lost("transactions", 0);
}

const isRow = (words: Int32Array, row: number, kind: number): boolean =>
  row > 0 &&
  (row + 1) * ROW_WORDS <= words.length &&
  (words[row * ROW_WORDS]! & KIND_MASK) === kind;

const lost = (what: string, row: number): StoreDamagedError =>
  new StoreDamagedError(`Cannot adopt the store: the list of ${what} leads to row ${row}`);

// ---- Special events -------------------------------------------------------------------------

export const SPECIAL = { release: "@releaseDomain", introduce: "@introduceDomain" } as const;

function fireSpecial(core: Core, name: string, node: number, match: number): void {
  const { arena, walk } = core;
  const bytes = Buffer.from(name);
  walk.take(bytes, 0, bytes.length, 0, true);
  setAudience(AUDIENCE.before, arena.words, 0, 0, 0);
  showTo(core, AUDIENCE.node, node);
  showTo(core, AUDIENCE.parent, arena.words[HEADER.root]!);
  fire(core, walk, walk.levels, match);
}

/** Fires the special watches: those without a depth, then those that want to know the domain. */
export function fireDomain(
  core: Core,
  kind: keyof typeof SPECIAL,
  domid: number,
  which: "both" | "any" | "own",
): void {
  const node = core.arena.words[kind === "release" ? HEADER.releaseNode : HEADER.introduceNode]!;
  const name = SPECIAL[kind];
  if (which !== "own") fireSpecial(core, name, node, MATCH.noDepth);
  if (which !== "any") fireSpecial(core, `${name}/${domid}`, node, MATCH.depth);
}

// ---- Domains --------------------------------------------------------------------------------

/** A domain's row is introduced: gives it its connection. */
export function attach(core: Core, domid: number): number {
  const { arena } = core;
  const domain = knowDomain(core, domid);
  assert(domain !== 0, "a domid has at most 16 bits");
  const at = domain * ROW_WORDS;
  const connection = addConnection(core, domid, { domain, tag: 0 });
  arena.set(at + DOMAIN.connection, connection);
  const flags = arena.words[at]! | DOMAIN_INTRODUCED_MASK;
  arena.set(at, flags & ~DOMAIN_SHUTDOWN_MASK);
  return connection;
}

/** Nobody acts for a domain that is gone. */
function clearTargets(core: Core, domid: number): void {
  const { arena } = core;
  let row = arena.words[HEADER.firstConnection]!;
  for (; row !== 0; row = arena.words[row * ROW_WORDS + CONNECTION.next]!) {
    const at = row * ROW_WORDS + CONNECTION.target;
    if (arena.words[at] === domid) arena.set(at, -1);
  }
}

/**
 * The domain is gone: its connection, its nodes with all below them, its entries in permissions.
 * @releaseDomain fires if it had been introduced. Gives the number of its connection, or 0.
 */
export function removeDomain(core: Core, domid: number): number {
  const { arena } = core;
  const domain = findDomain(core, domid);
  if (domain === 0) return 0;
  const isIntroduced = (arena.words[domain * ROW_WORDS]! & DOMAIN_INTRODUCED_MASK) !== 0;
  const connection = arena.words[domain * ROW_WORDS + DOMAIN.connection]!;
  let number = 0;
  if (connection !== 0) {
    number = arena.words[connection * ROW_WORDS + CONNECTION.number]!;
    removeConnection(core, connection);
  }
  clearTargets(core, domid);
  disown(core, domid);
  forgetDomain(core, domain);
  if (isIntroduced) fireDomain(core, "release", domid, "both");
  return number;
}

let list = new Int32Array(1024);

/** Removes the nodes of a domain (or gives them to the privileged one), and its permissions. */
function disown(core: Core, domid: number): void {
  const { arena, path } = core;
  path.clear();
  disownBelow(core, arena.words[HEADER.root]!, domid);
  strip(core, arena.words[HEADER.releaseNode]!, domid);
  strip(core, arena.words[HEADER.introduceNode]!, domid);
}

function disownBelow(core: Core, node: number, domid: number): void {
  const { arena, path } = core;
  if (ownerOf(arena, node) === domid && !core.keepOrphans && path.levels > 0) {
    removeTree(core, path, node);
    return;
  }
  strip(core, node, domid);
  let child = arena.words[node * ROW_WORDS + NODE.firstChild]!;
  while (child !== 0) {
    const next = arena.words[child * ROW_WORDS + NODE.next]!;
    path.push(arena.bytes, nameAtOf(arena, child), nameBytesOf(arena, child));
    disownBelow(core, child, domid);
    path.pop();
    child = next;
  }
}

/** Takes a domain out of a node's permissions; no watch tells it, and its generation stays. */
function strip(core: Core, node: number, domid: number): void {
  const { arena } = core;
  const count = permissionCountOf(arena, node);
  const at = permissionsAtOf(arena, node);
  let isThere = false;
  for (let index = 0; index < count; index++) {
    if (domidOf(arena.words[at + index]!) === domid) isThere = true;
  }
  if (!isThere) return;
  if (count > list.length) list = new Int32Array(count * 2);
  let kept = 0;
  for (let index = 0; index < count; index++) {
    const word = arena.words[at + index]!;
    if (index > 0 && domidOf(word) === domid) continue;
    const isOwner = index === 0 && domidOf(word) === domid;
    list[kept++] = isOwner ? (core.privilegedDomid << 8) | (word & 0xff) : word;
  }
  const generation = arena.get64(node * ROW_WORDS + NODE.generation);
  writePermissions(core, node, list, 0, kept, generation);
}
