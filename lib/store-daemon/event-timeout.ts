// Events that an unprivileged domain does not take are dropped after a while, so that one that
// sleeps does not fill our memory (the C daemon's -w watch-event=SECONDS, 20 unless told).
//
// When a turn ends with output left, a mark says how far it reached then. Marks of one second are
// one. What stood before a mark that is old enough is dropped, answers excepted.

import type { Client } from "./client.ts";

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
