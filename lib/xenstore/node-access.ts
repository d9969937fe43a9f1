// How a request gets at the node it names: its path, the node as the client sees it, what the
// client may do with it.

import { isTooMuch, QUOTA } from "./account.ts";
import { permissionFor } from "./access.ts";
import type { Core, View } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { look } from "./overlay.ts";

/** Reads a path of the payload into core.path; EINVAL if it is none. */
export function takePath(core: Core, from: number, length: number, allowSpecial: boolean): number {
  const { path, request } = core;
  if (length < 0 || !path.take(request.bytes, from, length, request.domid, allowSpecial)) {
    return ERRNO.EINVAL;
  }
  if (request.domain !== 0) {
    const bytes = path.levels === 0 ? 1 : path.length - path.uncountedBytes(); // "/" is the root.
    if (isTooMuch(core, QUOTA.pathBytes, bytes)) return ERRNO.EINVAL;
  }
  return 0;
}

/** What the client may do with the node of a view. */
const permissionOf = (core: Core, view: View): number =>
  permissionFor(
    core,
    core.request.connection,
    core.arena.words,
    view.permissionsAt,
    view.permissionCount,
    view.generation,
  );

/**
 * Loads core.view with the node of core.path, with which the client must be allowed all of the mask
 * `wanted`. Otherwise an errno that tells nothing about nodes that the client may not see: what is
 * missing is EACCES, unless the nearest node above it allows the client something of `wanted`.
 */
export function takeNode(core: Core, wanted: number): number {
  const { path, view, other } = core;
  let errno = look(core, view, path, path.levels);
  if (errno === 0) {
    if (core.request.isPrivileged) return 0;
    if ((permissionOf(core, view) & wanted) === wanted) return 0;
    errno = ERRNO.EACCES;
  }
  if (errno === ERRNO.ENOSPC) return errno;
  for (let level = Math.max(0, path.levels - 1); ; level--) {
    const found = look(core, other, path, level);
    if (found === 0) break;
    if (found === ERRNO.ENOSPC) return found;
  }
  return (permissionOf(core, other) & wanted) !== 0 ? errno : ERRNO.EACCES;
}
