// RM: a node and all below it, in the store or in a transaction.

import { onlyString } from "./arguments.ts";
import { acknowledge, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { HEADER, NODE, ROW_WORDS } from "./layout.ts";
import { takeNode, takePath } from "./node-access.ts";
import { nameAtOf, nameBytesOf } from "./node.ts";
import {
  childrenAtOf,
  deleteOverlay,
  findOverlay,
  fireLater,
  look,
  PARTS,
  writeOverlay,
} from "./overlay.ts";
import type { Path } from "./path.ts";
import { PERMISSION } from "./permission.ts";
import { removeSubtree, touch } from "./tree.ts";
import { fireNode, MATCH, noneBefore } from "./watch.ts";

export function removeNode(core: Core): number {
  const { path, request, other } = core;
  const length = onlyString(request);
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.write);
  if (errno === ERRNO.ENOENT) {
    // It need not be there, but its parent has to be.
    const found = look(core, other, path, path.levels - 1);
    return found || acknowledge(core);
  }
  if (errno !== 0) return errno;
  if (path.levels === 0) return ERRNO.EINVAL;
  if (request.transaction !== 0) return removeFromTransaction(core) || acknowledge(core);
  removeTree(core, path, core.view.row);
  return acknowledge(core);
}

/** Removes a node of the store with all below it, and tells who watches. */
export function removeTree(core: Core, path: Path, node: number): void {
  const { arena, walk } = core;
  if (arena.words[HEADER.watchCount] !== 0) {
    walk.copy(path, path.levels);
    noneBefore(core);
    fireBelow(core, node, node);
  }
  const parent = arena.words[node * ROW_WORDS + NODE.parent]!;
  const count = removeSubtree(core, node);
  // The C daemon takes a generation for each node, and for each list of children it was taken from.
  const generation = arena.get64(HEADER.storeGeneration) + 2 * count;
  touch(core, parent, generation);
  arena.set64(HEADER.storeGeneration, generation);
}

/** Children first. Whoever watches the top is told like of any change; the others by their own. */
function fireBelow(core: Core, top: number, node: number): void {
  const { arena, walk } = core;
  let child = arena.words[node * ROW_WORDS + NODE.firstChild]!;
  for (; child !== 0; child = arena.words[child * ROW_WORDS + NODE.next]!) {
    walk.push(arena.bytes, nameAtOf(arena, child), nameBytesOf(arena, child));
    fireBelow(core, top, child);
    walk.pop();
  }
  fireNode(core, walk, node, node === top ? MATCH.subtree : MATCH.exact);
}

function removeFromTransaction(core: Core): number {
  const { arena, path, other, walk, request } = core;
  const found = look(core, other, path, path.levels - 1);
  if (found !== 0) return found === ERRNO.ENOSPC ? found : ERRNO.EINVAL;
  walk.copy(path, path.levels);
  const errno = removeOverlays(core, path.levels);
  if (errno !== 0) return errno; // Others have changed what it looked at: it can only conflict.
  const parent = findOverlay(core, request.transaction, path, path.levels - 1);
  const missing = look(core, other, path, path.levels - 1);
  if (missing !== 0) return ERRNO.EIO;
  PARTS.load(core, other);
  const start = path.nameStart(path.levels);
  const length = path.length - start;
  const at = findName(
    arena.bytes,
    childrenAtOf(arena, parent),
    other.childBytes,
    start,
    path,
    length,
  );
  if (at < 0) return ERRNO.EIO;
  PARTS.cutAt = at;
  PARTS.cutBytes = length + 1;
  writeOverlay(core, parent);
  return 0;
}

/** Offset of the path's last name in a list of names; -1: it is not in it. */
function findName(
  bytes: Uint8Array,
  names: number,
  end: number,
  start: number,
  path: Path,
  length: number,
): number {
  for (let at = 0; at < end;) {
    let same = 0;
    while (same < length && bytes[names + at + same] === path.bytes[start + same]) same++;
    if (same === length && bytes[names + at + same] === 0) return at;
    while (bytes[names + at] !== 0) at++;
    at++;
  }
  return -1;
}

/** Deletes the node of core.walk in the transaction, its children first. */
function removeOverlays(core: Core, top: number): number {
  const { arena, walk, other, request } = core;
  if (look(core, other, walk, walk.levels) !== 0) return ERRNO.EIO;
  const { row } = other;
  const { childBytes } = other;
  for (let offset = 0; offset < childBytes;) {
    const at = childrenAtOf(arena, row) + offset;
    let length = 0;
    while (arena.bytes[at + length] !== 0) length++;
    walk.push(arena.bytes, at, length);
    const errno = removeOverlays(core, top);
    walk.pop();
    if (errno !== 0) return errno;
    offset += length + 1;
  }
  deleteOverlay(core, findOverlay(core, request.transaction, walk, walk.levels));
  fireLater(core, row, walk.levels === top ? MATCH.subtree : MATCH.exact);
  if (walk.levels !== top) core.nextGeneration(); // For its parent's list of children.
  return 0;
}
