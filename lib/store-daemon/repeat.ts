// Something that is done again and again while the loop runs.

import type { Loop } from "../sys/index.ts";

/** Runs the step again and again; an interval of 0 is never. */
export function every(loop: Loop, intervalMs: number, step: () => void): void {
  if (intervalMs === 0) return;
  const again = (): void => {
    step();
    loop.after(intervalMs, again);
  };
  loop.after(intervalMs, again);
}
