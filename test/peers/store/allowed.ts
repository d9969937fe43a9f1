// What two daemons may tell differently, each with its reason. Everything else is a difference.

import type { Difference } from "./differ.ts";
import type { Step } from "./steps.ts";
import { OP } from "../../helpers/store-wire.ts";

interface Allowed {
  readonly reason: string;
  readonly fits: (step: Step, difference: Difference) => boolean;
}

/**
 * Beside these: some numbers are not compared (see the end of play.ts), of RELEASE not the order of
 * reply and events (inOrder in differ.ts), and some steps are not drawn (Choices in steps.ts).
 */
export const ALLOWED: readonly Allowed[] = [
  {
    reason: "a domain that has gone is taken out of permissions, as since Xen 4.21",
    fits: (step, { ours, peer }) => isGetPerms(step) && isShorterList(ours, peer),
  },
  {
    reason: "the C daemon knows a domain from then on that a refused request has named",
    fits: (_, { ours, peer }) => ours.endsWith('"ENOENT|"') && peer.includes('"Domain '),
  },
  {
    reason: "a transaction with nodes whose owner goes away cannot be committed: when that is told",
    fits: (_, { ours, peer }) =>
      (/"(ENOMEM|EIO)\|"$/.test(peer) && / t\d+ "(OK|EAGAIN|ENOMEM)\|"$/.test(ours)) ||
      (peer.endsWith('"EAGAIN|"') && ours.endsWith('"ENOMEM|"')),
  },
];

const isGetPerms = (step: Step): boolean =>
  (step.kind === "ask" && step.op === OP.GET_PERMS) || step.kind === "burst";

/** GET_PERMS #7 "n0|r2|", without some of the entries behind the first. */
function isShorterList(ours: string, peer: string): boolean {
  const [left, right] = [ours, peer].map((text) => /^(GET_PERMS .*)"([^"]*)"$/.exec(text) ?? []);
  if (left?.[1] === undefined || left[1] !== right?.[1]) return false;
  const [mine, theirs] = [left[2]!.split("|"), right[2]!.split("|")];
  let at = 0;
  for (const entry of theirs) if (entry === mine[at]) at++;
  return at === mine.length && mine[0] === theirs[0];
}

export const isAllowed = (step: Step, difference: Difference): boolean =>
  ALLOWED.some(({ fits }) => fits(step, difference));
