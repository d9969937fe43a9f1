// Verifies what clients have in the arena: connections, watches, transactions; and the domains with
// what is counted for them.

import { QUOTA, usedOf } from "./account.ts";
import { join } from "./bytes-copy.ts";
import type { Tally } from "./tally.ts";
import { expect } from "./check-space.ts";
import type { Core } from "./core.ts";
import {
  ACCOUNT,
  CONNECTION,
  DOMAIN,
  HEADER,
  KIND,
  OVERLAY,
  ROW_WORDS,
  TRANSACTION,
  WATCH,
  WATCH_PATH,
} from "./layout.ts";
import { PAYLOAD_BYTES_MAX } from "./limits.ts";
import { chargeOfOverlay, overlaySum } from "./overlay.ts";
import { pathSum, ROOT_SUM } from "./path.ts";
import { chargeOfWatch, watchSum } from "./watch.ts";

/** Counts over all clients. */
interface Found {
  watches: number;
  transactions: number;
  connections: number;
  readonly paths: Map<number, number>;
  readonly watchesOf: Map<number, number>;
  readonly transactionsOf: Map<number, number>;
}

const more = (map: Map<number, number>, key: number): void => {
  map.set(key, (map.get(key) ?? 0) + 1);
};

/** The path somebody watches: its own row and block, at the first of its watches. */
function checkWatchPath(core: Core, tally: Tally, row: number): void {
  const { arena } = core;
  const { words } = arena;
  tally.space.claimRow(row, KIND.watchPath, "a watch");
  const at = row * ROW_WORDS;
  const length = words[at + WATCH_PATH.pathBytes]!;
  expect(length >= 0 && length <= 2 * PAYLOAD_BYTES_MAX, `a watched path of ${length} bytes`);
  tally.space.claimBlock(words[at + WATCH_PATH.block]!, row, length, "a watched path");
  const from = words[at + WATCH_PATH.block]! + 12;
  const { path } = core;
  path.clear();
  const isPath = length === 0 || path.take(arena.bytes, from, length, 0, true);
  expect(isPath && path.length === length, "a watched path that is none");
  const sum = pathSum(ROOT_SUM, arena.bytes, from, from + length);
  expect(words[at + WATCH_PATH.pathSum] === sum, "a watched path has another sum");
  expect(words[at + WATCH_PATH.levels] === path.levels, "a watched path has other levels");
  const first = words[at + WATCH_PATH.first]!;
  expect(words[first * ROW_WORDS + WATCH.pathPrevious] === 0, "a watch is before the first");
  tally.watches.expectRow(words[at + WATCH_PATH.hash]!, row);
}

function checkWatches(core: Core, tally: Tally, found: Found, connection: number): void {
  const { words } = core.arena;
  const client = connection * ROW_WORDS;
  const domid = words[client + CONNECTION.domid]!;
  let previous = 0;
  let count = 0;
  let row = words[client + CONNECTION.firstWatch]!;
  while (row !== 0) {
    tally.space.claimRow(row, KIND.watch, "a list of watches");
    const at = row * ROW_WORDS;
    expect(words[at + WATCH.connection] === connection, "a watch belongs to another client");
    expect(words[at + WATCH.previous] === previous, "watches are not linked both ways");
    const length = words[at + WATCH.tokenBytes]!;
    tally.space.claimBlock(words[at + WATCH.block]!, row, length, "a watch's token");
    const path = words[at + WATCH.path]!;
    if (!found.paths.has(path)) checkWatchPath(core, tally, path);
    more(found.paths, path);
    const pathBytes = words[path * ROW_WORDS + WATCH_PATH.pathBytes]!;
    const prefix = words[at + WATCH.prefixBytes]!;
    expect(prefix >= 0 && prefix <= pathBytes, "a watch leaves out more than its path");
    const sum = watchSum(core, row, domid);
    expect(words[at + WATCH.sum] === sum, "a watch has another sum");
    tally.add(sum, join(sum, KIND.watch));
    tally.watches.expectRow(words[at + WATCH.hash]!, row);
    tally.charge(domid, 0, chargeOfWatch(pathBytes, length));
    more(found.watchesOf, domid);
    checkPathLink(core, row, path);
    previous = row;
    count++;
    row = words[at + WATCH.next]!;
  }
  found.watches += count;
  expect(words[client + CONNECTION.lastWatch] === previous, "a client's last watch is another");
  expect(words[client + CONNECTION.watchCount] === count, "a client's watches are counted wrong");
}

/** A watch stands where its neighbours on the same path say. */
function checkPathLink(core: Core, row: number, path: number): void {
  const { words } = core.arena;
  const at = row * ROW_WORDS;
  const before = words[at + WATCH.pathPrevious]!;
  const behind = words[at + WATCH.pathNext]!;
  const where = path * ROW_WORDS;
  const fromBefore =
    before === 0 ? words[where + WATCH_PATH.first] : words[before * ROW_WORDS + WATCH.pathNext];
  const fromBehind =
    behind === 0 ? words[where + WATCH_PATH.last] : words[behind * ROW_WORDS + WATCH.pathPrevious];
  expect(fromBefore === row && fromBehind === row, "watches of a path are not linked both ways");
}

function checkOverlays(core: Core, tally: Tally, transaction: number, domid: number): void {
  const { words } = core.arena;
  const from = transaction * ROW_WORDS;
  let last = 0;
  let count = 0;
  let row = words[from + TRANSACTION.firstNode]!;
  while (row !== 0) {
    tally.space.claimRow(row, KIND.overlay, "a transaction");
    const at = row * ROW_WORDS;
    expect(words[at + OVERLAY.transaction] === transaction, "a copy of another transaction");
    const path = words[at + OVERLAY.path]!;
    const head = (((path & 0xffff) + 3) & ~3) + (path >>> 16) * 4;
    tally.space.claimBlock(words[at + OVERLAY.block]!, row, head, "a transaction's path");
    const content = words[at + OVERLAY.content]!;
    const lengths = [OVERLAY.permissions, OVERLAY.valueBytes, OVERLAY.childBytes];
    const isSane = lengths.every((word) => words[at + word]! >= 0 && words[at + word]! < 2 ** 28);
    expect(isSane, "a transaction's copy has lengths below 0");
    const value = (words[at + OVERLAY.valueBytes]! + 3) & ~3;
    const bytes = words[at + OVERLAY.permissions]! * 4 + value + words[at + OVERLAY.childBytes]!;
    if (content !== 0) tally.space.claimBlock(content, row, bytes, "a transaction's copy");
    else expect(bytes === 0, "a transaction's copy has no bytes");
    const sum = overlaySum(core.arena, row);
    expect(words[at + OVERLAY.sum] === sum, "a transaction's copy has another sum");
    tally.add(sum, join(sum, KIND.overlay));
    tally.overlays.expectRow(words[at + OVERLAY.hash]!, row);
    tally.charge(domid, 0, chargeOfOverlay(core.arena, row));
    last = row;
    count++;
    row = words[at + OVERLAY.next]!;
  }
  expect(words[from + TRANSACTION.lastNode] === last, "a transaction's last node is another");
  expect(words[from + TRANSACTION.nodeCount] === count, "a transaction's nodes are counted wrong");
}

function checkTransactions(core: Core, tally: Tally, found: Found, connection: number): void {
  const { words } = core.arena;
  const client = connection * ROW_WORDS;
  const domid = words[client + CONNECTION.domid]!;
  let previous = 0;
  let count = 0;
  let row = words[client + CONNECTION.firstTransaction]!;
  while (row !== 0) {
    tally.space.claimRow(row, KIND.transaction, "a list of transactions");
    const at = row * ROW_WORDS;
    expect(words[at + TRANSACTION.connection] === connection, "a transaction of another client");
    expect(words[at + TRANSACTION.previous] === previous, "transactions are not linked both ways");
    const sum = join(join(words[at + TRANSACTION.id]!, domid), KIND.transaction);
    expect(words[at + TRANSACTION.sum] === sum, "a transaction has another sum");
    tally.add(sum, join(sum, KIND.transaction));
    checkOverlays(core, tally, row, domid);
    more(found.transactionsOf, domid);
    previous = row;
    count++;
    row = words[at + TRANSACTION.next]!;
  }
  found.transactions += count;
  expect(words[client + CONNECTION.lastTransaction] === previous, "a last transaction is another");
  const counted = words[client + CONNECTION.transactionCount]!;
  expect(counted === count, "a client's transactions are counted wrong");
}

function checkConnections(core: Core, tally: Tally, found: Found): void {
  const { words } = core.arena;
  const numbers = new Set<number>();
  let previous = 0;
  let row = words[HEADER.firstConnection]!;
  while (row !== 0) {
    tally.space.claimRow(row, KIND.connection, "the list of connections");
    const at = row * ROW_WORDS;
    const number = words[at + CONNECTION.number]!;
    expect(words[at + CONNECTION.previous] === previous, "connections are not linked both ways");
    expect(number > 0 && number < 2 ** 20, `a connection has number ${number}`);
    expect(!numbers.has(number), `two connections have number ${number}`);
    numbers.add(number);
    const domain = words[at + CONNECTION.domain]!;
    const isOwn = domain === 0 || words[domain * ROW_WORDS + DOMAIN.connection] === row;
    expect(isOwn, `the domain of connection ${number} has another one`);
    checkWatches(core, tally, found, row);
    checkTransactions(core, tally, found, row);
    found.connections++;
    previous = row;
    row = words[at + CONNECTION.next]!;
  }
  expect(words[HEADER.lastConnection] === previous, "the last connection is another one");
}

function checkDomains(core: Core, tally: Tally, found: Found): void {
  const { words } = core.arena;
  let previous = 0;
  let count = 0;
  const known = new Set<number>();
  let row = words[HEADER.firstDomain]!;
  while (row !== 0) {
    tally.space.claimRow(row, KIND.domain, "the list of domains");
    const at = row * ROW_WORDS;
    const domid = words[at + DOMAIN.domid]!;
    expect(words[at + DOMAIN.previous] === previous, "domains are not linked both ways");
    expect(domid >= 0 && domid < 65536 && !known.has(domid), `a second domain ${domid}`);
    known.add(domid);
    tally.space.claimBlock(words[at + DOMAIN.block]!, row, ACCOUNT.words * 4, `domain ${domid}`);
    const counts = [
      [QUOTA.nodes, tally.nodesOf.get(domid)],
      [QUOTA.memory, tally.bytesOf.get(domid)],
      [QUOTA.watches, found.watchesOf.get(domid)],
      [QUOTA.transactions, found.transactionsOf.get(domid)],
    ] as const;
    for (const [quota, wanted] of counts) {
      const used = usedOf(core, row, quota);
      const what = `domain ${domid} is charged ${used} of quota ${quota}, it has ${wanted ?? 0}`;
      expect(used === (wanted ?? 0), what);
    }
    previous = row;
    count++;
    row = words[at + DOMAIN.next]!;
  }
  expect(words[HEADER.lastDomain] === previous, "the last domain is another one");
  expect(words[HEADER.domainCount] === count, "the domains are counted wrong");
  for (const domid of tally.nodesOf.keys()) {
    expect(known.has(domid), `nobody knows domain ${domid}, which owns nodes`);
  }
}

export function checkClients(core: Core, tally: Tally): void {
  const { words } = core.arena;
  const found: Found = {
    watches: 0,
    transactions: 0,
    connections: 0,
    paths: new Map(),
    watchesOf: new Map(),
    transactionsOf: new Map(),
  };
  checkConnections(core, tally, found);
  for (const [path, count] of found.paths) {
    const counted = words[path * ROW_WORDS + WATCH_PATH.count]!;
    expect(counted === count, "watches of a path are counted wrong");
  }
  const totals = [
    [HEADER.watchCount, found.watches, "watches"],
    [HEADER.transactionCount, found.transactions, "transactions"],
    [HEADER.connectionCount, found.connections, "connections"],
  ] as const;
  for (const [word, count, name] of totals) {
    expect(words[word] === count, `there are ${count} ${name}, ${words[word]} are counted`);
  }
  checkDomains(core, tally, found);
}
