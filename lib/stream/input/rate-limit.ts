// Holds a walk back to so many bytes a second, so that dom0's disk and processors stay with the
// guests.

export interface RatePorts {
  /** Milliseconds that only go forwards. */
  now(): number;
  sleep(milliseconds: number): void;
}

/** Shorter sleeps cost more than they slow down. */
const SLEEP_MS_MIN = 5;

/** A function to be told the position; it sleeps when the walk is ahead of its rate. */
export function rateLimiter(bytesPerSecond: number, ports: RatePorts): (position: number) => void {
  const startedAt = ports.now();
  let startPosition: number | undefined;
  return (position) => {
    startPosition ??= position;
    const dueMs = ((position - startPosition) / bytesPerSecond) * 1000;
    const aheadMs = dueMs - (ports.now() - startedAt);
    if (aheadMs >= SLEEP_MS_MIN) ports.sleep(aheadMs);
  };
}
