// Who may do what to a node.
//
// An entry of the list counts when its domain is there and has been since before the node was last
// written (a domid is used again for another domain). Entries that do not count stay in the list:
// what is written carries the mark (IGNORED_MASK), so that the later generation does not revive
// them.

import type { Core } from "./core.ts";
import { findDomain } from "./account.ts";
import { CONNECTION, DOMAIN, ROW_WORDS } from "./layout.ts";
import { accessOf, ANY_DOMID, domidOf, IGNORED_MASK, isIgnored, PERMISSION } from "./permission.ts";

/** Whether a domain has been known since before this generation. */
function isOldEnough(core: Core, domid: number, generation: number): boolean {
  const row = findDomain(core, domid);
  return row !== 0 && core.arena.get64(row * ROW_WORDS + DOMAIN.generation) <= generation;
}

/** Whether an entry, not the first, has stopped to count and is not marked yet. */
export function isStale(core: Core, word: number, generation: number): boolean {
  const domid = domidOf(word);
  return !isIgnored(word) && domid !== ANY_DOMID && !isOldEnough(core, domid, generation);
}

/** What a connection may, by a list that stands in `words`. A mask of PERMISSION. */
export function permissionFor(
  core: Core,
  connection: number,
  words: Int32Array,
  at: number,
  count: number,
  generation: number,
): number {
  const row = connection * ROW_WORDS;
  const domid = core.arena.words[row + CONNECTION.domid]!;
  if (domid === core.privilegedDomid) return PERMISSION.all;
  const target = core.arena.words[row + CONNECTION.target]!;
  const owner = domidOf(words[at]!);
  if (owner === domid || owner === target || owner === ANY_DOMID) return PERMISSION.all;
  for (let index = 1; index < count; index++) {
    const word = words[at + index]!;
    const listed = domidOf(word);
    if (listed !== domid && listed !== ANY_DOMID && (listed !== target || target === -1)) continue;
    if (isIgnored(word) || isStale(core, word, generation)) continue;
    return accessOf(word);
  }
  return accessOf(words[at]!);
}

/** A list's word as it is to be written: marked if it has stopped to count. */
export const marked = (core: Core, word: number, index: number, generation: number): number =>
  index > 0 && isStale(core, word, generation) ? word | IGNORED_MASK : word;
