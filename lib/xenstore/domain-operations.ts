// Operations about domains, which but a few only the privileged one may ask for.

import { ALL_FEATURES, existingDomain, introducedDomain, limitOf, setLimit } from "./account.ts";
import { onlyString, strings, toDomid, toInteger } from "./arguments.ts";
import { dropAll, featuresOf } from "./client-operations.ts";
import { attach, fireDomain, removeDomain } from "./connections.ts";
import { acknowledge, answerText, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import {
  CONNECTION,
  DOMAIN,
  DOMAIN_INTRODUCED_MASK,
  DOMAIN_SHUTDOWN_MASK,
  HEADER,
  ROW_WORDS,
} from "./layout.ts";
import { DOMID, QUOTAS } from "./limits.ts";

/** The domid that is the whole payload; undefined: it is something else. */
function onlyDomid(core: Core): number | undefined {
  return onlyString(core.request) < 0 ? undefined : toDomid(strings(core.request)[0]!);
}

// ---- Coming and going -----------------------------------------------------------------------

/** Introduces a domain, or binds another event channel to one that is. An errno. */
export function introduceDomain(
  core: Core,
  domid: number,
  { port, frame }: { readonly port: number; readonly frame: number | undefined },
): number {
  const { arena, host } = core;
  const known = introducedDomain(core, domid);
  const connected = known === 0 ? 0 : arena.words[known * ROW_WORDS + DOMAIN.connection]!;
  if (connected !== 0) {
    const connection = connected;
    dropAll(core, connection);
    const number = arena.words[connection * ROW_WORDS + CONNECTION.number]!;
    const isBound = host.rebind(domid, number, port) === undefined;
    arena.set(known * ROW_WORDS + DOMAIN.port, isBound ? port : 0);
    setFrame(core, known, frame);
    return 0;
  }
  const connection = attach(core, domid);
  const domain = arena.words[connection * ROW_WORDS + CONNECTION.domain]!;
  arena.set(domain * ROW_WORDS + DOMAIN.port, port);
  setFrame(core, domain, frame);
  const number = arena.words[connection * ROW_WORDS + CONNECTION.number]!;
  const refusal = host.introduce(domid, number, port);
  if (refusal !== undefined) return ERRNO[refusal];
  if (domid !== core.privilegedDomid) fireDomain(core, "introduce", domid, "both");
  return 0;
}

/** Of the domain's shared page, which the store itself has no use for. */
export function setFrame(core: Core, domain: number, frame: number | undefined): void {
  core.arena.set64(domain * ROW_WORDS + DOMAIN.frame, frame === undefined ? 0 : frame + 1);
}

export function introduce(core: Core): number {
  const parts = strings(core.request);
  if (parts.length < 3) return ERRNO.EINVAL;
  const domid = toDomid(parts[0]!);
  if (domid === undefined) return ERRNO.EINVAL;
  const port = toInteger(parts[2]!);
  if (port <= 0) return ERRNO.EINVAL;
  // Rings are mapped by grant: the frame is kept for a daemon that wants it in place of us.
  const frame = /^[0-9]{1,15}$/.test(parts[1]!) ? Number(parts[1]) : undefined;
  return introduceDomain(core, domid, { port, frame }) || acknowledge(core);
}

/** The row of another domain that is introduced, or minus an errno. */
function otherDomain(core: Core): number {
  const domid = onlyDomid(core);
  if (domid === undefined) return -ERRNO.EINVAL;
  if (domid === core.storeDomid || domid === core.privilegedDomid) return -ERRNO.EINVAL;
  return introducedDomain(core, domid) || -ERRNO.ENOENT;
}

export function release(core: Core): number {
  const { arena, request, host } = core;
  const domain = otherDomain(core);
  if (domain < 0) return -domain;
  const domid = arena.words[domain * ROW_WORDS + DOMAIN.domid]!;
  const number = removeDomain(core, domid);
  core.afterwards.push(() => host.released(domid, number));
  if (number === request.number) request.connection = 0; // It released itself.
  return acknowledge(core);
}

export function resume(core: Core): number {
  const { arena, host } = core;
  const domain = otherDomain(core);
  if (domain < 0) return -domain;
  const at = domain * ROW_WORDS;
  arena.set(at, arena.words[at]! & ~DOMAIN_SHUTDOWN_MASK);
  const domid = arena.words[at + DOMAIN.domid]!;
  core.afterwards.push(() => host.resumed(domid));
  return acknowledge(core);
}

export function setTarget(core: Core): number {
  const { arena } = core;
  const parts = strings(core.request);
  if (parts.length < 2) return ERRNO.EINVAL;
  const domid = toDomid(parts[0]!);
  const target = toDomid(parts[1]!);
  if (domid === undefined || target === undefined) return ERRNO.EINVAL;
  const domain = introducedDomain(core, domid);
  if (domain === 0 || introducedDomain(core, target) === 0) return ERRNO.ENOENT;
  const connection = arena.words[domain * ROW_WORDS + DOMAIN.connection]!;
  arena.set(connection * ROW_WORDS + CONNECTION.target, target);
  return acknowledge(core);
}

// ---- Questions ------------------------------------------------------------------------------

export function getDomainPath(core: Core): number {
  const domid = onlyDomid(core);
  if (domid === undefined) return ERRNO.EINVAL;
  return answerText(core, `/local/domain/${domid}`);
}

export function isIntroduced(core: Core): number {
  const domid = onlyDomid(core);
  if (domid === undefined) return ERRNO.EINVAL;
  const isThere = domid === DOMID.self || introducedDomain(core, domid) !== 0;
  return answerText(core, isThere ? "T" : "F");
}

export function getFeature(core: Core): number {
  const { arena, request } = core;
  const parts = strings(request);
  if (parts.length === 0) return answerText(core, String(featuresOf(core)));
  if (!request.isPrivileged) return ERRNO.EACCES;
  if (parts.length > 1) return ERRNO.EINVAL;
  const domid = toDomid(parts[0]!);
  if (domid === undefined) return ERRNO.EINVAL;
  const domain = existingDomain(core, domid);
  if (domain === 0) return ERRNO.ENOENT;
  return answerText(core, String(arena.words[domain * ROW_WORDS + DOMAIN.features]! >>> 0));
}

export function setFeature(core: Core): number {
  const { arena } = core;
  const parts = strings(core.request);
  if (parts.length !== 2) return ERRNO.EINVAL;
  const domid = toDomid(parts[0]!);
  if (domid === undefined) return ERRNO.EINVAL;
  const features = toInteger(parts[1]!);
  const domain = existingDomain(core, domid);
  if (domain === 0) return ERRNO.ENOENT;
  if (arena.words[domain * ROW_WORDS]! & DOMAIN_INTRODUCED_MASK) return ERRNO.EBUSY;
  if ((features & ~ALL_FEATURES) !== 0) return ERRNO.EINVAL;
  arena.set(domain * ROW_WORDS + DOMAIN.features, features);
  return acknowledge(core);
}

/** Number of a quota by its name; -1: there is none. */
const quotaNamed = (name: string): number => QUOTAS.findIndex((quota) => quota.name === name);

export function getQuota(core: Core): number {
  const { arena } = core;
  const parts = strings(core.request);
  if (parts.length > 2) return ERRNO.EINVAL;
  if (parts.length === 0) return answerText(core, QUOTAS.map(({ name }) => name).join(" "));
  const quota = quotaNamed(parts.at(-1)!);
  if (parts.length === 1) {
    if (quota < 0) return ERRNO.EINVAL;
    return answerText(core, String(arena.words[HEADER.quotas + quota]! >>> 0));
  }
  const domid = toDomid(parts[0]!);
  if (domid === undefined) return ERRNO.EINVAL;
  const domain = existingDomain(core, domid);
  if (domain === 0) return ERRNO.ENOENT;
  if (quota < 0) return ERRNO.EINVAL;
  return answerText(core, String(limitOf(core, domain, quota) >>> 0));
}

export function setQuota(core: Core): number {
  const { arena } = core;
  const parts = strings(core.request);
  if (parts.length < 2 || parts.length > 3) return ERRNO.EINVAL;
  const quota = quotaNamed(parts.at(-2)!);
  const value = toInteger(parts.at(-1)!);
  if (parts.length === 2) {
    if (quota < 0 || value === -1) return ERRNO.EINVAL;
    arena.set(HEADER.quotas + quota, value);
    return acknowledge(core);
  }
  const domid = toDomid(parts[0]!);
  if (domid === undefined) return ERRNO.EINVAL;
  const domain = existingDomain(core, domid);
  if (domain === 0) return ERRNO.ENOENT;
  if (quota < 0 || value === -1) return ERRNO.EINVAL;
  setLimit(core, domain, quota, value);
  return acknowledge(core);
}
