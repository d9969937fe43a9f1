// Random requests on few paths, so that clients get in each other's way.

import { OPERATION } from "../../lib/xenstore/index.ts";

/** A number from 0 to below `limit`. */
export type Random = (limit: number) => number;

/** Domains that come and go. */
export const GUESTS = [1, 2, 5];
const NAMES = ["a", "b", "c", "dd", "e-_@"];

export const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;

function pathOf(random: Random): string {
  const kind = random(20);
  if (kind === 0) return pick(random, ["/", "", "//a", "/a/", "a//b", "/a b", "@x", "/@", "a\x80"]);
  if (kind === 1) return pick(random, ["@releaseDomain", "@introduceDomain", "@releaseDomain/5"]);
  const names = Array.from({ length: 1 + random(3) }, () => pick(random, NAMES));
  if (kind < 6) return names.join("/");
  const start = kind < 10 ? `/local/domain/${pick(random, GUESTS)}/` : "/";
  return start + names.join("/");
}

const permission = (random: Random): string =>
  pick(random, ["n", "r", "w", "b"]) + pick(random, ["0", "1", "2", "5", "5", "9", "32757"]);

function permissions(random: Random): string {
  const count = 1 + random(4);
  return Array.from({ length: count }, () => `${permission(random)}\0`).join("");
}

/** Operation and payload. */
export function randomRequest(random: Random): readonly [number, string] {
  const path = pathOf(random);
  switch (random(14)) {
    case 0:
    case 1:
      return [OPERATION.READ, `${path}\0`];
    case 2:
      return [OPERATION.DIRECTORY, `${path}\0`];
    case 3:
      return [OPERATION.DIRECTORY_PART, `${path}\0${random(12)}\0`];
    case 4:
      return [OPERATION.GET_PERMS, `${path}\0`];
    case 5:
      return [OPERATION.SET_PERMS, `${path}\0${permissions(random)}`];
    case 6:
      return [OPERATION.MKDIR, `${path}\0`];
    case 7:
    case 8:
      return [OPERATION.RM, `${path}\0`];
    case 9: {
      const depth = random(4) === 0 ? `${random(4)}\0` : "";
      return [OPERATION.WATCH, `${path}\0t${random(3)}\0${depth}`];
    }
    case 10:
      if (random(8) === 0) return [OPERATION.RESET_WATCHES, "\0"];
      return [OPERATION.UNWATCH, `${path}\0t${random(3)}\0`];
    default:
      return [OPERATION.WRITE, `${path}\0${"v".repeat(random(random(10) === 0 ? 200 : 30))}`];
  }
}
