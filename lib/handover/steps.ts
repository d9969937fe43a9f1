// Steps of an update that go on between the turns of the old program's loop, which serves its
// clients meanwhile. What the kernel refuses (no descriptor or memory left, say) is told, and the
// program goes on.

import { guarded } from "./guarded.ts";
import type { Waiter } from "./waiter.ts";

type Step = () => void;

export class Steps {
  private readonly waiter: Waiter;
  private readonly onRefused: (reason: string) => void;

  constructor(waiter: Waiter, onRefused: (reason: string) => void) {
    this.waiter = waiter;
    this.onRefused = onRefused;
  }

  attempt(step: Step): void {
    guarded(step, this.onRefused);
  }

  later(step: Step, delayMs = 0): void {
    this.waiter.after(delayMs, () => this.attempt(step));
  }

  /** What is due now still falls into this turn of the loop: there would be two steps in it. */
  inNextTurn(step: Step): void {
    this.later(() => this.later(step));
  }

  /** One a turn, the first at once; as long as that holds. */
  inTurns(isStill: () => boolean, [step, ...rest]: readonly Step[]): void {
    step?.();
    if (rest.length > 0) this.inNextTurn(() => isStill() && this.inTurns(isStill, rest));
  }
}
