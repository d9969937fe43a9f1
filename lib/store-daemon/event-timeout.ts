// Events that an unprivileged domain does not take are dropped after a while, so that one that
// sleeps does not fill our memory (the C daemon's -w watch-event=SECONDS, 20 unless told).
//
// When a turn ends with output left, a mark says how far it reached then. Marks of one second are
// one. What stood before a mark that is old enough is dropped, answers excepted.

import { type Loop, monotonicMs } from "../sys/index.ts";
import type { Client } from "./client.ts";
import type { DaemonOptions } from "./daemon-options.ts";

const MARK_MS = 1000;
export const EVENT_TIMEOUT_MS = 20_000;

/** Notes what is queued at this moment. */
export function markQueued(client: Client, nowMs: number): void {
  const { marks, outbox } = client;
  const position = outbox.base + outbox.end;
  const last = marks.at(-1);
  if (last !== undefined && nowMs - last.firstMs < MARK_MS) {
    if (position === last.position) return;
    last.position = position;
    last.lastMs = nowMs;
    return;
  }
  if (position !== last?.position) marks.push({ position, firstMs: nowMs, lastMs: nowMs });
}

/** Drops what has waited for too long. Returns whether anything still waits. */
export function dropOldEvents(client: Client, nowMs: number, timeoutMs: number): boolean {
  const { marks, outbox } = client;
  while (marks.length > 0 && outbox.queuedBytes > 0) {
    const [oldest] = marks;
    if (oldest === undefined || nowMs - oldest.lastMs < timeoutMs) return true;
    marks.shift();
    outbox.dropEvents(oldest.position - outbox.base);
  }
  marks.length = 0;
  return false;
}

const CHECK_MS = 1000;

/** Drops the events that guests do not take; looks only while some are waiting. */
export class EventTimeout {
  private isLooking = false;
  private readonly loop: Loop;
  private readonly late: Set<Client>;
  private readonly options: Pick<DaemonOptions, "eventTimeoutMs" | "ownDomid">;

  constructor(
    loop: Loop,
    /** Those who have not taken all; who does no longer wait is removed. */
    late: Set<Client>,
    options: Pick<DaemonOptions, "eventTimeoutMs" | "ownDomid">,
  ) {
    [this.loop, this.late, this.options] = [loop, late, options];
  }

  /** Looks after a while, if there is anybody. */
  look(): void {
    const { eventTimeoutMs, ownDomid } = this.options;
    if (this.late.size === 0 || this.isLooking || eventTimeoutMs === 0) return;
    this.isLooking = true;
    this.loop.after(CHECK_MS, () => {
      this.isLooking = false;
      const nowMs = monotonicMs();
      for (const client of this.late) {
        const isWaiting = client.domid !== ownDomid && dropOldEvents(client, nowMs, eventTimeoutMs);
        if (!isWaiting) this.late.delete(client);
      }
    });
  }
}
