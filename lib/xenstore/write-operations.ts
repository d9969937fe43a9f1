// Operations that change nodes: WRITE, MKDIR, RM, SET_PERMS.

import {
  exceeds,
  findDomain,
  isTooMuch,
  knowDomain,
  QUOTA,
  usedOf,
  wouldExceed,
} from "./account.ts";
import { marked } from "./access.ts";
import { countStrings, onlyString, stringLength } from "./arguments.ts";
import { acknowledge, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { DOMAIN, HEADER, ROW_WORDS, TRANSACTION_CREATED_MASK } from "./layout.ts";
import { FEATURE_MASK } from "./limits.ts";
import { takeNode, takePath } from "./node-access.ts";
import {
  failTransaction,
  findOverlay,
  fireLater,
  look,
  PARTS,
  setFlags,
  writeOverlay,
} from "./overlay.ts";
import { type Path } from "./path.ts";
import {
  accessOf,
  ANY_DOMID,
  domidOf,
  IGNORED_MASK,
  isIgnored,
  parsePermission,
  PERMISSION,
} from "./permission.ts";
import { nodeBytesFor } from "./node.ts";
import { addNode, type Content, touch, writePermissions, writeValue } from "./tree.ts";
import { AUDIENCE, fireNode, MATCH, noneBefore, setAudience } from "./watch.ts";

const NOTHING = new Uint8Array(0);
/** Permission lists that do not stand in the arena; a request cannot bring longer ones. */
const list = new Int32Array(4096);
const listBefore = new Int32Array(4096);

/** Whether what the client's domain uses now is more memory than it may. */
function isOverMemory(core: Core): boolean {
  const { domain } = core.request;
  if (domain === 0) return false;
  return exceeds(core, domain, QUOTA.memory, usedOf(core, domain, QUOTA.memory));
}

/** An error of a write: in a transaction there is no way back, it can only fail as a whole. */
function failed(core: Core, errno: number): number {
  if (errno !== 0 && core.request.transaction !== 0)
    failTransaction(core, core.request.transaction);
  return errno;
}

/** What a node may be in size, for the client. */
const isTooLarge = (core: Core, permissions: number, valueBytes: number, childBytes: number) =>
  isTooMuch(core, QUOTA.nodeBytes, nodeBytesFor(permissions, valueBytes, childBytes));

// ---- WRITE and MKDIR ------------------------------------------------------------------------

export function write(core: Core): number {
  const { request } = core;
  const length = stringLength(request, request.from);
  if (length < 0) return ERRNO.EINVAL;
  const from = request.from + length + 1;
  const bytes = request.length - length - 1;
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.write);
  if (errno === ERRNO.ENOENT) return create(core, from, bytes) || acknowledge(core);
  return errno || overwrite(core, from, bytes) || acknowledge(core);
}

export function makeDirectory(core: Core): number {
  const { request } = core;
  const length = onlyString(request);
  const errno = takePath(core, request.from, length, false) || takeNode(core, PERMISSION.write);
  if (errno === ERRNO.ENOENT) return create(core, request.from, 0) || acknowledge(core);
  return errno || acknowledge(core);
}

/** Gives the node of core.view another value. */
function overwrite(core: Core, from: number, bytes: number): number {
  const { request, view, path } = core;
  if (isTooLarge(core, view.permissionCount, bytes, view.childBytes)) {
    return failed(core, ERRNO.ENOSPC);
  }
  const node = view.row;
  if (view.isOverlay) {
    PARTS.load(core, view);
    PARTS.value = request.bytes;
    PARTS.valueAt = from;
    PARTS.valueBytes = bytes;
    writeOverlay(core, node);
    fireLater(core, node, MATCH.subtree);
    return isOverMemory(core) ? failed(core, ERRNO.EIO) : 0;
  }
  writeValue(core, node, request.bytes, from, bytes, core.nextGeneration());
  if (isOverMemory(core)) return ERRNO.EIO;
  noneBefore(core);
  fireNode(core, path, node, MATCH.subtree);
  return 0;
}

/** Makes the node of core.path, and the parents that are missing. */
function create(core: Core, from: number, bytes: number): number {
  const { path, request, view, other, arena } = core;
  let above = path.levels - 1;
  for (; ; above--) {
    const errno = look(core, other, path, above);
    if (errno === 0) break;
    if (errno !== ERRNO.ENOENT) return errno;
  }
  const { permissionCount, generation } = other;
  for (let index = 0; index < permissionCount; index++) {
    list[index] = marked(core, arena.words[other.permissionsAt + index]!, index, generation);
  }
  if (!request.isPrivileged) list[0] = (request.domid << 8) | accessOf(list[0]!);
  if (request.transaction !== 0) setFlags(arena, request.transaction, TRANSACTION_CREATED_MASK);
  if (wouldExceed(core, QUOTA.nodes, 1)) return ERRNO.ENOSPC;
  if (wouldExceed(core, QUOTA.nodes, path.levels - above)) return failed(core, ERRNO.ENOSPC);
  const errno = checkSizes(core, above, permissionCount, bytes);
  if (errno !== 0) return failed(core, errno);
  if (request.transaction !== 0) createOverlays(core, above, permissionCount, from, bytes);
  else createNodes(core, above, permissionCount, from, bytes);
  if (isOverMemory(core)) return failed(core, ERRNO.EIO);
  if (request.transaction !== 0) return 0;
  noneBefore(core);
  fireNode(core, path, view.row, MATCH.subtree);
  return 0;
}

/** Whether each node to be made, and the one above them, would still be of a size that may be. */
function checkSizes(core: Core, above: number, permissions: number, bytes: number): number {
  const { path, other } = core;
  if (core.request.domain === 0) return 0;
  if (isTooLarge(core, permissions, bytes, 0)) return ERRNO.ENOSPC;
  for (let level = path.levels - 1; level > above; level--) {
    const name = path.ends[level + 1]! - path.ends[level]!;
    if (isTooLarge(core, permissions, 0, name)) return ERRNO.ENOSPC;
  }
  const name = path.ends[above + 1]! - path.nameStart(above + 1) + 1;
  const isTooFull = isTooLarge(core, permissions, other.valueBytes, other.childBytes + name);
  return isTooFull ? ERRNO.ENOSPC : 0;
}

const CONTENT: Content = {
  permissions: list,
  permissionsAt: 0,
  permissionCount: 0,
  owner: -1,
  value: NOTHING,
  valueAt: 0,
  valueBytes: 0,
  generation: 0,
};

function createNodes(
  core: Core,
  above: number,
  permissions: number,
  from: number,
  bytes: number,
): void {
  const { path, request, other, arena } = core;
  const before = arena.get64(HEADER.storeGeneration);
  const { levels } = path;
  let parent = other.row;
  CONTENT.permissionCount = permissions;
  for (let level = above + 1; level <= levels; level++) {
    const isLast = level === levels;
    CONTENT.value = isLast ? request.bytes : NOTHING;
    CONTENT.valueAt = isLast ? from : 0;
    CONTENT.valueBytes = isLast ? bytes : 0;
    CONTENT.generation = before + 1 + levels - level; // The C daemon writes them bottom up.
    parent = addNode(core, path, level, parent, CONTENT);
  }
  const last = before + levels - above + 1;
  touch(core, other.row, last);
  arena.set64(HEADER.storeGeneration, last);
  core.view.row = parent;
}

function createOverlays(
  core: Core,
  above: number,
  permissions: number,
  from: number,
  bytes: number,
): void {
  const { path, request, other } = core;
  for (let level = path.levels; level > above; level--) {
    const isLast = level === path.levels;
    PARTS.list = list;
    PARTS.listAt = 0;
    PARTS.count = permissions;
    PARTS.value = request.bytes;
    PARTS.valueAt = from;
    PARTS.valueBytes = isLast ? bytes : 0;
    PARTS.childBytes = 0;
    PARTS.cutBytes = 0;
    PARTS.nameBytes = 0;
    if (!isLast) nameChild(path, level + 1);
    writeOverlay(core, findOverlay(core, request.transaction, path, level));
  }
  PARTS.load(core, other);
  nameChild(path, above + 1);
  writeOverlay(core, other.row);
  fireLater(core, findOverlay(core, request.transaction, path, path.levels), MATCH.subtree);
}

/** The name at this level is added to what PARTS says. */
function nameChild(path: Path, level: number): void {
  PARTS.name = path.bytes;
  PARTS.nameAt = path.nameStart(level);
  PARTS.nameBytes = path.ends[level]! - PARTS.nameAt;
}

// ---- SET_PERMS ------------------------------------------------------------------------------

export function setPermissions(core: Core): number {
  const { request, view, arena, path } = core;
  const count = countStrings(request) - 1;
  if (count < 1) return ERRNO.EINVAL;
  if (isTooMuch(core, QUOTA.permissions, count)) return ERRNO.ENOSPC;
  const length = stringLength(request, request.from);
  const errno =
    parseList(core, request.from + length + 1, count) ||
    takePath(core, request.from, length, true) ||
    takeNode(core, PERMISSION.write | PERMISSION.owner);
  if (errno !== 0) return errno;
  const owner = domidOf(arena.words[view.permissionsAt]!);
  if (!request.isPrivileged && domidOf(list[0]!) !== owner) return ERRNO.EPERM;
  if (isTooLarge(core, count, view.valueBytes, view.childBytes)) return failed(core, ERRNO.ENOSPC);
  if (view.isOverlay) {
    PARTS.load(core, view);
    PARTS.list = list;
    PARTS.listAt = 0;
    PARTS.count = count;
    writeOverlay(core, view.row);
    fireLater(core, view.row, MATCH.subtree);
    return acknowledge(core);
  }
  const { generation, permissionCount } = view;
  for (let index = 0; index < permissionCount; index++) {
    listBefore[index] = arena.words[view.permissionsAt + index]!;
  }
  writePermissions(core, view.row, list, 0, count, core.nextGeneration());
  setAudience(AUDIENCE.before, listBefore, 0, permissionCount, generation);
  fireNode(core, path, view.row, MATCH.subtree);
  return acknowledge(core);
}

/** Reads permissions into `list`. Entries of domains that are not there do not count. */
function parseList(core: Core, start: number, count: number): number {
  const { request, host, arena } = core;
  let from = start;
  for (let index = 0; index < count; index++) {
    const length = stringLength(request, from);
    const word = parsePermission(request.bytes, from, from + length);
    if (word === undefined) return ERRNO.EINVAL;
    list[index] = word;
    from += length + 1;
  }
  for (let index = 0; index < count; index++) {
    const domid = domidOf(list[index]!);
    const isThere =
      domid === ANY_DOMID
        ? request.domain === 0 ||
          (arena.words[request.domain * ROW_WORDS + DOMAIN.features]! & FEATURE_MASK.domidAny) !== 0
        : findDomain(core, domid) !== 0 || (domid >= 0 && host.domainExists(domid));
    if (!isThere) list[index] = list[index]! | IGNORED_MASK;
    else if (domid !== ANY_DOMID) knowDomain(core, domid);
  }
  return isIgnored(list[0]!) ? ERRNO.ENOENT : 0;
}
