// Transactions: started, committed, dropped. The rule is the C daemon's: every node that the
// transaction has touched must still have the generation it had at the first touch (or still be
// absent), else nothing happens and the answer is EAGAIN. Whatever a client writes is looked at
// first, so that this includes what it has only written.

import { account, exceeds, livingDomain, QUOTA, usedOf } from "./account.ts";
import { join } from "./bytes-copy.ts";
import type { Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
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
} from "./layout.ts";
import {
  beforeAtOf,
  beforeCountOf,
  childrenAtOf,
  dropOverlay,
  findOverlay,
  hasFlag,
  pathAtOf,
  pathBytesOf,
  viewOverlay,
  wasAbsent,
} from "./overlay.ts";
import type { Path } from "./path.ts";
import { domidOf } from "./permission.ts";
import { allocateRow, freeRow } from "./rows.ts";
import { addToDigest, permissionsAtOf, permissionCountOf } from "./node.ts";
import {
  addNode,
  type Content,
  findNode,
  moveToEnd,
  removeSubtree,
  writePermissions,
  writeValue,
} from "./tree.ts";
import { AUDIENCE, fire, MATCH, setAudience, showTo } from "./watch.ts";

// ---- Life -----------------------------------------------------------------------------------

export function findTransaction(core: Core, connection: number, id: number): number {
  const { words } = core.arena;
  let row = words[connection * ROW_WORDS + CONNECTION.firstTransaction]!;
  while (row !== 0 && words[row * ROW_WORDS + TRANSACTION.id] !== id) {
    row = words[row * ROW_WORDS + TRANSACTION.next]!;
  }
  return row;
}

/** A new one of this connection; gives its row. */
export function startTransaction(core: Core, connection: number): number {
  const { arena } = core;
  const client = connection * ROW_WORDS;
  let id = arena.words[client + CONNECTION.nextTransactionId]!;
  while (id === 0 || findTransaction(core, connection, id) !== 0) id = (id + 1) | 0;
  arena.set(client + CONNECTION.nextTransactionId, (id + 1) | 0);
  return addTransaction(core, connection, id, core.nextGeneration());
}

export function addTransaction(
  core: Core,
  connection: number,
  id: number,
  generation: number,
): number {
  const { arena } = core;
  const client = connection * ROW_WORDS;
  const row = allocateRow(arena, KIND.transaction);
  const at = row * ROW_WORDS;
  const last = arena.words[client + CONNECTION.lastTransaction]!;
  const domid = arena.words[client + CONNECTION.domid]!;
  const sum = join(join(id, domid), KIND.transaction);
  arena.set(at + TRANSACTION.connection, connection);
  arena.set(at + TRANSACTION.id, id);
  arena.set(at + TRANSACTION.previous, last);
  arena.set(at + TRANSACTION.sum, sum);
  arena.set64(at + TRANSACTION.generation, generation);
  if (last === 0) arena.set(client + CONNECTION.firstTransaction, row);
  else arena.set(last * ROW_WORDS + TRANSACTION.next, row);
  arena.set(client + CONNECTION.lastTransaction, row);
  const count = arena.words[client + CONNECTION.transactionCount]!;
  arena.set(client + CONNECTION.transactionCount, count + 1);
  arena.set(HEADER.transactionCount, arena.words[HEADER.transactionCount]! + 1);
  addToDigest(core, sum, join(sum, KIND.transaction), 1);
  account(core, domid, QUOTA.transactions, 1);
  return row;
}

export function dropTransaction(core: Core, row: number): void {
  const { arena } = core;
  const at = row * ROW_WORDS;
  let overlay = arena.words[at + TRANSACTION.firstNode]!;
  while (overlay !== 0) {
    const next = arena.words[overlay * ROW_WORDS + OVERLAY.next]!;
    dropOverlay(core, overlay);
    overlay = next;
  }
  const { words } = arena;
  const client = words[at + TRANSACTION.connection]! * ROW_WORDS;
  const previous = words[at + TRANSACTION.previous]!;
  const next = words[at + TRANSACTION.next]!;
  if (previous === 0) arena.set(client + CONNECTION.firstTransaction, next);
  else arena.set(previous * ROW_WORDS + TRANSACTION.next, next);
  if (next === 0) arena.set(client + CONNECTION.lastTransaction, previous);
  else arena.set(next * ROW_WORDS + TRANSACTION.previous, previous);
  const count = words[client + CONNECTION.transactionCount]!;
  arena.set(client + CONNECTION.transactionCount, count - 1);
  arena.set(HEADER.transactionCount, words[HEADER.transactionCount]! - 1);
  const sum = words[at + TRANSACTION.sum]!;
  addToDigest(core, sum, join(sum, KIND.transaction), -1);
  account(core, words[client + CONNECTION.domid]!, QUOTA.transactions, -1);
  freeRow(arena, row);
}

// ---- Commit ---------------------------------------------------------------------------------

/** Takes the path of an overlay. */
function takePath(core: Core, path: Path, overlay: number): void {
  const { arena } = core;
  const length = pathBytesOf(arena, overlay);
  if (length === 0) path.clear();
  else path.take(arena.bytes, pathAtOf(arena, overlay), length, 0, true);
}

type Visit = (core: Core, overlay: number, transaction: number) => number;

/** Goes through a transaction's overlays in the order of their first touch, up to an errno. */
function each(core: Core, transaction: number, visit: Visit): number {
  const { arena } = core;
  let overlay = arena.words[transaction * ROW_WORDS + TRANSACTION.firstNode]!;
  for (; overlay !== 0; overlay = arena.words[overlay * ROW_WORDS + OVERLAY.next]!) {
    const errno = visit(core, overlay, transaction);
    if (errno !== 0) return errno;
  }
  return 0;
}

/** Owners, and how many nodes each gets. */
const owners: number[] = [];
const gains: number[] = [];

function gain(domid: number, nodes: number): void {
  let index = owners.indexOf(domid);
  if (index < 0) index = owners.push(domid) - 1;
  gains[index] = (gains[index] ?? 0) + nodes;
}

/** Counts a node for the owner it had, and for the one it gets. */
function countOwners(core: Core, overlay: number): number {
  const { arena } = core;
  if (!hasFlag(arena, overlay, OVERLAY_MODIFIED_MASK)) return 0;
  const before = wasAbsent(arena, overlay) ? -1 : domidOf(arena.words[beforeAtOf(arena, overlay)]!);
  if (before !== -1) gain(before, -1);
  if (!hasFlag(arena, overlay, OVERLAY_PRESENT_MASK)) return 0;
  viewOverlay(core, core.other, overlay);
  gain(domidOf(arena.words[core.other.permissionsAt]!), 1);
  return 0;
}

/**
 * ENOMEM if a node would belong to a domain that has gone meanwhile: the next of its number would
 * find it as its own. ENOSPC if the commit would bring a domain over its number of nodes.
 */
function checkOwners(core: Core, transaction: number, withQuota: boolean): number {
  owners.length = 0;
  gains.length = 0;
  each(core, transaction, countOwners);
  for (let index = 0; index < owners.length; index++) {
    const domain = livingDomain(core, owners[index]!);
    const added = gains[index]!;
    if (domain === 0) return ERRNO.ENOMEM;
    if (!withQuota) continue;
    const used = usedOf(core, domain, QUOTA.nodes) + added;
    if (added >= 0 && exceeds(core, domain, QUOTA.nodes, used)) return ERRNO.ENOSPC;
  }
  return 0;
}

/** EAGAIN if a node is not as it was at the first touch. */
const hasConflict = (core: Core, overlay: number): number => {
  const { words } = core.arena;
  const at = overlay * ROW_WORDS + OVERLAY.base;
  takePath(core, core.walk, overlay);
  const node = findNode(core, core.walk, core.walk.levels);
  if (node === 0) return wasAbsent(core.arena, overlay) ? 0 : ERRNO.EAGAIN;
  const from = node * ROW_WORDS + NODE.generation;
  const isSame = words[from] === words[at] && words[from + 1] === words[at + 1];
  return isSame ? 0 : ERRNO.EAGAIN;
};

/**
 * Carries the transaction over into the store, or gives an errno and changes nothing that stays.
 */
export function commitTransaction(core: Core, transaction: number, checkQuota: boolean): number {
  const errno = checkOwners(core, transaction, checkQuota) || each(core, transaction, hasConflict);
  if (errno !== 0) return errno;
  each(core, transaction, removeGone);
  each(core, transaction, carryOver);
  each(core, transaction, orderChildren);
  each(core, transaction, fireOverlay);
  return 0;
}

/** Removes a node that the transaction deleted, with all below it, which it deleted as well. */
function removeGone(core: Core, overlay: number): number {
  const { arena } = core;
  if (!hasFlag(arena, overlay, OVERLAY_MODIFIED_MASK) || wasAbsent(arena, overlay)) return 0;
  if (hasFlag(arena, overlay, OVERLAY_PRESENT_MASK)) return 0;
  takePath(core, core.walk, overlay);
  const node = findNode(core, core.walk, core.walk.levels);
  if (node !== 0) removeSubtree(core, node);
  return 0;
}

const CONTENT: Content = {
  permissions: new Int32Array(0),
  permissionsAt: 0,
  permissionCount: 0,
  owner: -1,
  value: new Uint8Array(0),
  valueAt: 0,
  valueBytes: 0,
  generation: 0,
};
let copied = new Int32Array(1024);

/** The permissions of the view, outside the arena. */
function copyPermissions(core: Core): Int32Array {
  const { permissionsAt, permissionCount } = core.view;
  if (permissionCount > copied.length) copied = new Int32Array(permissionCount * 2);
  for (let index = 0; index < permissionCount; index++) {
    copied[index] = core.arena.words[permissionsAt + index]!;
  }
  return copied;
}

/** Writes one node as the transaction has it. Its parents are made first where they are missing. */
function carryOver(core: Core, overlay: number, transaction: number): number {
  const { arena, view } = core;
  const mask = OVERLAY_MODIFIED_MASK | OVERLAY_PRESENT_MASK;
  if ((arena.words[overlay * ROW_WORDS]! & mask) !== mask) return 0;
  const generation = core.nextGeneration();
  takePath(core, core.walk, overlay);
  const { levels } = core.walk;
  ensureParents(core, transaction, levels);
  const node = findNode(core, core.walk, levels);
  viewOverlay(core, view, overlay);
  const list = copyPermissions(core);
  if (node === 0) {
    makeNode(core, list, levels, generation);
    return 0;
  }
  if (!hasPermissions(core, node, list)) {
    writePermissions(core, node, list, 0, view.permissionCount, generation);
  }
  writeValue(core, node, arena.bytes, view.valueAt, view.valueBytes, generation);
  return 0;
}

function hasPermissions(core: Core, node: number, list: Int32Array): boolean {
  const { arena, view } = core;
  if (permissionCountOf(arena, node) !== view.permissionCount) return false;
  const at = permissionsAtOf(arena, node);
  for (let index = 0; index < view.permissionCount; index++) {
    if (arena.words[at + index] !== list[index]) return false;
  }
  return true;
}

/** The node of the view at this level of core.walk, whose parent is there. */
function makeNode(core: Core, list: Int32Array, level: number, generation: number): void {
  const { arena, view, walk } = core;
  CONTENT.permissions = list;
  CONTENT.permissionCount = view.permissionCount;
  CONTENT.value = arena.bytes;
  CONTENT.valueAt = view.valueAt;
  CONTENT.valueBytes = view.valueBytes;
  CONTENT.generation = generation;
  addNode(core, walk, level, findNode(core, walk, level - 1), CONTENT);
}

/** Makes the parents that are missing, as the transaction has them; they get their values later. */
function ensureParents(core: Core, transaction: number, levels: number): void {
  let level = levels - 1;
  while (level > 0 && findNode(core, core.walk, level) === 0) level--;
  for (level++; level < levels; level++) {
    const overlay = findOverlay(core, transaction, core.walk, level);
    viewOverlay(core, core.view, overlay);
    makeNode(core, copyPermissions(core), level, core.arena.get64(HEADER.storeGeneration));
  }
}

/** Puts children in the order that the transaction's list has. */
function orderChildren(core: Core, overlay: number): number {
  const { arena } = core;
  const at = overlay * ROW_WORDS;
  if (!hasFlag(arena, overlay, OVERLAY_PRESENT_MASK)) return 0;
  const base = arena.words[at + OVERLAY.childBase]!;
  const end = arena.words[at + OVERLAY.childBytes]!;
  if (base === end) return 0;
  takePath(core, core.walk, overlay);
  const names = childrenAtOf(arena, overlay);
  for (let from = base; from < end;) {
    let length = 0;
    while (arena.bytes[names + from + length] !== 0) length++;
    core.walk.push(arena.bytes, names + from, length);
    const node = findNode(core, core.walk, core.walk.levels);
    if (node !== 0) moveToEnd(core, node);
    core.walk.pop();
    from += length + 1;
  }
  return 0;
}

// ---- Events of a commit ---------------------------------------------------------------------

/**
 * Fires for one node. Who may see it: by the permissions at the first touch, those it has now, and
 * those of its parent; a parent that the transaction touched later counts as it was before, since
 * the nodes go into the store in the order of their first touches.
 */
function fireOverlay(core: Core, overlay: number, transaction: number): number {
  const { arena, walk } = core;
  if (!hasFlag(arena, overlay, OVERLAY_FIRE_MASK)) return 0;
  if (!hasFlag(arena, overlay, OVERLAY_MODIFIED_MASK)) return 0;
  takePath(core, walk, overlay);
  const { levels } = walk;
  const { words } = arena;
  const before = wasAbsent(arena, overlay) ? 0 : beforeCountOf(arena, overlay);
  const base = arena.get64(overlay * ROW_WORDS + OVERLAY.base);
  setAudience(AUDIENCE.before, words, beforeAtOf(arena, overlay), before, base);
  const node = findNode(core, walk, levels);
  showTo(core, AUDIENCE.node, node);
  setAudience(AUDIENCE.parent, words, 0, 0, 0);
  if (node !== 0) {
    const above = Math.max(0, levels - 1);
    const parent = findOverlay(core, transaction, walk, above);
    const isLater = parent !== 0 && parent !== overlay && comesBehind(core, parent, overlay);
    if (!isLater || !hasFlag(arena, parent, OVERLAY_MODIFIED_MASK)) {
      showTo(core, AUDIENCE.parent, findNode(core, walk, above));
    } else if (!wasAbsent(arena, parent)) {
      const generation = arena.get64(parent * ROW_WORDS + OVERLAY.base);
      const at = beforeAtOf(arena, parent);
      setAudience(AUDIENCE.parent, words, at, beforeCountOf(arena, parent), generation);
    }
  }
  const isSubtree = hasFlag(arena, overlay, OVERLAY_SUBTREE_MASK);
  fire(core, walk, levels, isSubtree ? MATCH.subtree : MATCH.exact);
  return 0;
}

/** Whether an overlay was touched after another one. */
function comesBehind(core: Core, overlay: number, other: number): boolean {
  const { words } = core.arena;
  let row = words[other * ROW_WORDS + OVERLAY.next]!;
  while (row !== 0 && row !== overlay) row = words[row * ROW_WORDS + OVERLAY.next]!;
  return row === overlay;
}
