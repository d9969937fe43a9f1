// The start of a program that may be a successor: from what claimHandover() found to a program that
// serves, or to the end of this process.

import { RefusedError } from "../base/index.ts";
import { comeForward } from "./precedence.ts";
import { HeirSide } from "./heir.ts";
import type { Claimed } from "./in-place.ts";
import { Keeper } from "./keeper.ts";
import type { Heirs, Survivor } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

export interface TakeOverOptions {
  readonly claimed: Claimed;
  readonly waiter: Waiter;
  readonly heirs: Heirs;
  readonly version: string;
  readonly onServing: (survivor: Survivor, generation: number) => void;
  /** Nothing is served by this process: end it. Without a failure it was just not needed. */
  readonly onEnd: (failure: string | undefined) => void;
}

/** A program that has taken over, as long as the old one may still be there. */
export type TakenOver = Pick<HeirSide, "finish">;

export function takeOver(options: TakeOverOptions): TakenOver {
  const { claimed, waiter, heirs, version, onServing } = options;
  const onEnd: TakeOverOptions["onEnd"] = (failure) => {
    comeForward(); // A process is there until each of its threads has had a processor.
    options.onEnd(failure);
  };
  const side = new HeirSide({
    channel: claimed.channel,
    waiter,
    heirs,
    version,
    onServing,
    onGivenUp(reason) {
      if (claimed.kind === "heir" || !claimed.inherited.canStepBack) return onEnd(reason);
      try {
        claimed.stepBack(reason);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        onEnd(error.message); // The keeper's turn.
      }
    },
    onGuard:
      claimed.kind === "heir"
        ? (guarded) => void new Keeper({ guarded, waiter, onServing, onEnd })
        : undefined,
  });
  try {
    if (claimed.kind === "heir") side.greet();
    else side.inherit(claimed.inherited);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    onEnd(error.message);
  }
  return side;
}
