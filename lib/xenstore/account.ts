// Domains, and what each of them uses of its quotas. A domain is known from the first time that
// something refers to it (a ring, a permission, a quota) until it is gone.

import { allocate, release } from "./heap.ts";
import type { Core } from "./core.ts";
import { ACCOUNT, DOMAIN, DOMAIN_INTRODUCED_MASK, HEADER, KIND, ROW_WORDS } from "./layout.ts";
import { FEATURE_MASK, QUOTAS } from "./limits.ts";
import { allocateRow, freeRow } from "./rows.ts";

/** Numbers of the quotas in QUOTAS. */
export const QUOTA = {
  nodes: 0,
  watches: 1,
  outstanding: 2,
  memory: 3,
  softMemory: 4,
  transactions: 5,
  transactionNodes: 6,
  permissions: 7,
  pathBytes: 8,
  nodeBytes: 9,
} as const;

export const ALL_FEATURES = FEATURE_MASK.error | FEATURE_MASK.watchDepth | FEATURE_MASK.domidAny;

export const findDomain = (core: Core, domid: number): number =>
  domid >= 0 && domid < core.domainRows.length ? core.domainRows[domid]! : 0;

/** The introduced one of this number; 0: there is none. */
export function introducedDomain(core: Core, domid: number): number {
  const row = findDomain(core, domid);
  if (row === 0) return 0;
  return core.arena.words[row * ROW_WORDS]! & DOMAIN_INTRODUCED_MASK ? row : 0;
}

/** The domain's row, made if it is not known yet. */
export function knowDomain(core: Core, domid: number): number {
  const known = findDomain(core, domid);
  if (known !== 0 || domid < 0 || domid >= core.domainRows.length) return known;
  const { arena } = core;
  const row = allocateRow(arena, KIND.domain);
  const block = allocate(arena, ACCOUNT.words * 4, row);
  const at = row * ROW_WORDS;
  const account = (block + 12) >> 2;
  for (let index = 0; index < ACCOUNT.words; index++) {
    arena.set(account + index, index < ACCOUNT.used ? -1 : 0);
  }
  arena.set(at + DOMAIN.domid, domid);
  arena.set(at + DOMAIN.features, ALL_FEATURES);
  arena.set(at + DOMAIN.block, block);
  arena.set64(at + DOMAIN.generation, arena.get64(HEADER.storeGeneration));
  const last = arena.words[HEADER.lastDomain]!;
  arena.set(at + DOMAIN.previous, last);
  if (last === 0) arena.set(HEADER.firstDomain, row);
  else arena.set(last * ROW_WORDS + DOMAIN.next, row);
  arena.set(HEADER.lastDomain, row);
  arena.set(HEADER.domainCount, arena.words[HEADER.domainCount]! + 1);
  core.domainRows[domid] = row;
  return row;
}

/** The row of a domain that is known, or that is there and is known from now on; 0: it is not. */
export const existingDomain = (core: Core, domid: number): number =>
  findDomain(core, domid) || (core.host.domainExists(domid) ? knowDomain(core, domid) : 0);

/** The row of a domain that is introduced or there, not only still referred to; 0: it is not. */
export const livingDomain = (core: Core, domid: number): number =>
  introducedDomain(core, domid) || (core.host.domainExists(domid) ? knowDomain(core, domid) : 0);

/** Nothing refers to it any more. */
export function forgetDomain(core: Core, row: number): void {
  const { arena } = core;
  const words = arena.words;
  const at = row * ROW_WORDS;
  const previous = words[at + DOMAIN.previous]!;
  const next = words[at + DOMAIN.next]!;
  if (previous === 0) arena.set(HEADER.firstDomain, next);
  else arena.set(previous * ROW_WORDS + DOMAIN.next, next);
  if (next === 0) arena.set(HEADER.lastDomain, previous);
  else arena.set(next * ROW_WORDS + DOMAIN.previous, previous);
  arena.set(HEADER.domainCount, words[HEADER.domainCount]! - 1);
  core.domainRows[words[at + DOMAIN.domid]!] = 0;
  release(arena, words[at + DOMAIN.block]!);
  freeRow(arena, row);
}

const accountOf = (core: Core, row: number): number =>
  (core.arena.words[row * ROW_WORDS + DOMAIN.block]! + 12) >> 2;

/** The limit that holds for a domain: its own, else the one for all. 0: none. */
export function limitOf(core: Core, row: number, quota: number): number {
  const own = core.arena.words[accountOf(core, row) + ACCOUNT.limit + quota]!;
  return own === -1 ? core.arena.words[HEADER.quotas + quota]! : own;
}

export const usedOf = (core: Core, row: number, quota: number): number =>
  core.arena.words[accountOf(core, row) + ACCOUNT.used + quota]!;

export const mostOf = (core: Core, row: number, quota: number): number =>
  core.arena.words[accountOf(core, row) + ACCOUNT.most + quota]!;

const isFree = (core: Core, row: number): boolean =>
  core.arena.words[row * ROW_WORDS + DOMAIN.domid] === core.privilegedDomid;

/** Whether a domain that uses so much is held up: memory and requests may not come to the limit. */
export function exceeds(core: Core, row: number, quota: number, value: number): boolean {
  const limit = limitOf(core, row, quota);
  return limit !== 0 && value >>> 0 >= limit >>> 0 && !isFree(core, row);
}

/**
 * Whether the domain of the request may not use so much more of something that is counted. Of
 * watches and transactions the C daemon (4.20) looks at those that are there: one more than the
 * limit goes.
 */
export function wouldExceed(core: Core, quota: number, added: number): boolean {
  const { domain } = core.request;
  if (domain === 0) return false;
  const limit = limitOf(core, domain, quota);
  const spare = quota === QUOTA.nodes ? 0 : 1;
  return (
    limit !== 0 &&
    usedOf(core, domain, quota) + added > (limit >>> 0) + spare &&
    !isFree(core, domain)
  );
}

/** The same for what is measured and not counted: a path, a node, a list of permissions. */
export function isTooMuch(core: Core, quota: number, value: number): boolean {
  const { domain } = core.request;
  if (domain === 0) return false;
  const limit = limitOf(core, domain, quota);
  if (limit !== 0 && value >>> 0 > limit >>> 0 && !isFree(core, domain)) return true;
  noteMost(core, domain, quota, value);
  return false;
}

/** Maxima are for people to look at: they are not undone with an operation. */
function noteMost(core: Core, row: number, quota: number, value: number): void {
  const words = core.arena.words;
  const at = accountOf(core, row) + ACCOUNT.most + quota;
  if (value > words[at]!) words[at] = value;
  if (words[row * ROW_WORDS + DOMAIN.domid] === core.privilegedDomid) return;
  if (value > words[HEADER.quotaMaxima + quota]!) words[HEADER.quotaMaxima + quota] = value;
}

/** Counts what a domain uses more, or less. */
export function account(core: Core, domid: number, quota: number, added: number): void {
  const row = knowDomain(core, domid);
  if (row === 0 || added === 0) return;
  const at = accountOf(core, row) + ACCOUNT.used + quota;
  const used = core.arena.words[at]! + added;
  core.arena.set(at, used);
  noteMost(core, row, quota, used);
}

export function setLimit(core: Core, row: number, quota: number, value: number): void {
  core.arena.set(accountOf(core, row) + ACCOUNT.limit + quota, value);
}

/** Forgets the maxima that were seen. */
export function resetMaxima(core: Core): void {
  const words = core.arena.words;
  for (let quota = 0; quota < QUOTAS.length; quota++) words[HEADER.quotaMaxima + quota] = 0;
  for (
    let row = words[HEADER.firstDomain]!;
    row !== 0;
    row = words[row * ROW_WORDS + DOMAIN.next]!
  ) {
    for (let quota = 0; quota < QUOTAS.length; quota++) {
      words[accountOf(core, row) + ACCOUNT.most + quota] = usedOf(core, row, quota);
    }
  }
}
