// Operations that only look: READ, DIRECTORY, DIRECTORY_PART, GET_PERMS.

import { countStrings, onlyString, stringLength } from "./arguments.ts";
import { copyBytes, putNumber } from "./bytes-copy.ts";
import { answer, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { NODE, ROW_WORDS } from "./layout.ts";
import { PAYLOAD_BYTES_MAX } from "./limits.ts";
import { takeNode, takePath } from "./node-access.ts";
import { childrenAtOf, putChildNames } from "./overlay.ts";
import { domidOf, letterOf, PERMISSION } from "./permission.ts";
import { nameAtOf, nameBytesOf } from "./node.ts";

export function read(core: Core): number {
  const { request, view } = core;
  const length = onlyString(request);
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.read);
  return errno || answer(core, core.arena.bytes, view.valueAt, view.valueBytes);
}

// ---- Children -------------------------------------------------------------------------------

const LIST_COUNT = 64;
/**
 * Lists of children as they were sent last, by row and generation: whatever changes a node's
 * children gives it another generation.
 */
class ListCache {
  readonly bytes = new Uint8Array(LIST_COUNT * PAYLOAD_BYTES_MAX);
  private readonly rows = new Int32Array(LIST_COUNT);
  private readonly generations = new Float64Array(LIST_COUNT);

  /** Place of the list in `bytes`. */
  get(core: Core, row: number, generation: number): number {
    const slot = (row ^ (row >> 6)) & (LIST_COUNT - 1);
    const at = slot * PAYLOAD_BYTES_MAX;
    if (this.rows[slot] !== row || this.generations[slot] !== generation) {
      putChildNames(core.arena, row, this.bytes, at);
      this.rows[slot] = row;
      this.generations[slot] = generation;
    }
    return at;
  }
}
const caches = new WeakMap<Core, ListCache>();

function cacheOf(core: Core): ListCache {
  let cache = caches.get(core);
  if (cache === undefined) {
    cache = new ListCache();
    caches.set(core, cache);
  }
  return cache;
}

export function directory(core: Core): number {
  const { arena, request, view } = core;
  const length = onlyString(request);
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.read);
  if (errno !== 0) return errno;
  const { childBytes } = view;
  if (childBytes > PAYLOAD_BYTES_MAX) return ERRNO.E2BIG;
  if (view.isOverlay) return answer(core, arena.bytes, childrenAtOf(arena, view.row), childBytes);
  const cache = cacheOf(core);
  return answer(core, cache.bytes, cache.get(core, view.row, view.generation), childBytes);
}

/** Where a long list was left: the child that starts at this offset of the list. */
const cursor = { core: undefined as Core | undefined, row: 0, generation: 0, offset: 0, child: 0 };

/** The child of a node within which an offset of the list of names falls, and where it starts. */
function seek(core: Core, offset: number): void {
  const { view, arena } = core;
  const { words } = arena;
  const isKnown =
    cursor.core === core && cursor.row === view.row && cursor.generation === view.generation;
  if (!isKnown || cursor.offset > offset || cursor.child === 0) {
    cursor.core = core;
    cursor.row = view.row;
    cursor.generation = view.generation;
    cursor.offset = 0;
    cursor.child = words[view.row * ROW_WORDS + NODE.firstChild]!;
  }
  while (cursor.child !== 0) {
    const length = nameBytesOf(arena, cursor.child) + 1;
    if (cursor.offset + length > offset) return;
    cursor.offset += length;
    cursor.child = words[cursor.child * ROW_WORDS + NODE.next]!;
  }
}

/**
 * Puts names, from an offset of the list on, into the scratch buffer as long as whole ones fit
 * below `most`. Tells how many bytes.
 */
function putSlice(core: Core, offset: number, to: number, most: number): number {
  const { arena, scratch, view } = core;
  let used = 0;
  if (view.isOverlay) {
    const names = childrenAtOf(arena, view.row);
    while (offset + used < view.childBytes) {
      let length = 0;
      while (arena.bytes[names + offset + used + length] !== 0) length++;
      if (used + length >= most) break;
      used += length + 1;
    }
    copyBytes(scratch, to, arena.bytes, names + offset, used);
    return used;
  }
  seek(core, offset);
  while (cursor.child !== 0) {
    const skip = offset + used - cursor.offset;
    const length = nameBytesOf(arena, cursor.child) - skip;
    if (used + length >= most) break;
    copyBytes(scratch, to + used, arena.bytes, nameAtOf(arena, cursor.child) + skip, length);
    scratch[to + used + length] = 0;
    used += length + 1;
    cursor.offset += length + skip + 1;
    cursor.child = arena.words[cursor.child * ROW_WORDS + NODE.next]!;
  }
  return used;
}

/** C's atoi as an unsigned number. */
function offsetAt(request: Core["request"], from: number): number {
  const { bytes } = request;
  let at = from;
  while (bytes[at] === 32 || (bytes[at]! >= 9 && bytes[at]! <= 13)) at++;
  const isNegative = bytes[at] === 45;
  if (bytes[at] === 45 || bytes[at] === 43) at++;
  let value = 0;
  for (; bytes[at]! >= 48 && bytes[at]! <= 57; at++) value = value * 10 + bytes[at]! - 48;
  return isNegative && value > 0 ? Infinity : value;
}

export function directoryPart(core: Core): number {
  const { request, scratch, view } = core;
  if (countStrings(request) !== 2) return ERRNO.EINVAL;
  const length = stringLength(request, request.from);
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.read);
  if (errno !== 0) return errno;
  const offset = offsetAt(request, request.from + length + 1);
  let used = putNumber(scratch, 0, view.generation);
  if (offset >= view.childBytes) {
    scratch[used] = 0;
    return answer(core, scratch, 0, used + 1);
  }
  const most = PAYLOAD_BYTES_MAX - used - 1;
  const slice = putSlice(core, offset, used, most);
  used += slice;
  if (offset + slice === view.childBytes) scratch[used++] = 0;
  return answer(core, scratch, 0, used);
}

// ---- Permissions ----------------------------------------------------------------------------

export function getPermissions(core: Core): number {
  const { arena, request, scratch, view } = core;
  const length = onlyString(request);
  const errno = takePath(core, request.from, length, true) || takeNode(core, PERMISSION.read);
  if (errno !== 0) return errno;
  let used = 0;
  for (let index = 0; index < view.permissionCount; index++) {
    const word = arena.words[view.permissionsAt + index]!;
    const domid = domidOf(word);
    scratch[used++] = letterOf(word).charCodeAt(0);
    if (domid < 0) scratch[used++] = 45;
    used += putNumber(scratch, used, Math.abs(domid));
    if (used > PAYLOAD_BYTES_MAX) return ERRNO.E2BIG;
  }
  return answer(core, scratch, 0, used);
}
