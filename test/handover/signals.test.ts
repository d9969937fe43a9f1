// Signals at wake-ups of a handover, to the old program, the new one and the keeper: a few of them
// here, all by `bun run soak --fuzzer live_update_signals`.

import { test } from "bun:test";
import { type SignalledUpdate, stoppedForAWhile, toldToEnd } from "../helpers/signalled-update.ts";

const TIMEOUT_MS = 60_000;

type Rows = Readonly<Record<SignalledUpdate["way"], Partial<Record<string, readonly number[]>>>>;

const updatesOf = (rows: Rows): SignalledUpdate[] =>
  Object.entries(rows).flatMap(([way, roles]) =>
    Object.entries(roles).flatMap(([role, wakeUps = []]) =>
      wakeUps.map((wakeUp) => ({ way, role, wakeUp }) as SignalledUpdate),
    ),
  );

test.each(
  updatesOf({
    promote: { old: [3, 6, 8], new: [2, 5, 7] },
    in_place: { old: [6, 10, 13], new: [2, 4], keeper: [2, 5] },
  }),
)(
  "$way, the $role process is told to end at wake-up $wakeUp: whoever serves ends, once",
  (update) => toldToEnd(update),
  TIMEOUT_MS,
);

test.each(
  updatesOf({
    promote: { old: [6, 8], new: [3, 6] },
    in_place: { old: [10], new: [2], keeper: [3, 5] },
  }),
)(
  "$way, the $role process stops at wake-up $wakeUp, and goes on: nothing is lost",
  (update) => stoppedForAWhile(update),
  TIMEOUT_MS,
);
