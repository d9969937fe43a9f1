// The one table of exit statuses, and from an error's class to its status.
// Drop-in names keep the statuses of the programs they stand in for; see commands.ts.

import { RefusedError, SystemError, UsageError } from "../lib/base/index.ts";
import { StreamError } from "../lib/bytes/index.ts";

export const EXIT = {
  /** Done; the data is good. */
  ok: 0,
  /** Refused or failed (a file cannot be opened, a host lacks something); nothing was changed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The data is wrong: damaged, cut short, empty or not a stream at all. */
  badData: 3,
  /** Failed half way and needs an operator; stderr names the state. */
  operator: 4,
  /** Our bug. */
  bug: 70,
} as const;

/** What each status means, in the order of the table: for `--help` and the man page. */
export const EXIT_MEANING: readonly (readonly [number, string])[] = [
  [EXIT.ok, "done; the data is good"],
  [EXIT.failed, "refused or failed, nothing changed"],
  [EXIT.usage, "the command line is wrong"],
  [EXIT.badData, "the data is damaged, cut short, empty or not recognised"],
  [EXIT.operator, "failed half way and needs an operator"],
  [EXIT.bug, "a bug in agent"],
];

export function exitStatusOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof StreamError) return EXIT.badData;
  if (error instanceof SystemError || error instanceof RefusedError) return EXIT.failed;
  return EXIT.bug;
}
