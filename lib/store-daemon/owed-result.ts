// The result of a live update that the daemon before us has done, for a client that polls for it:
// oxenstored answers `live-update -s` by BUSY, and the program after it tells how it went.
//
// It is told once, to a connection that came along, soon: kept for whoever asks next, it would one
// day be taken for the result of another update, which then never happens.

import { monotonicMs } from "../sys/index.ts";
import type { ControlAnswer, ControlRequest } from "../xenstore/index.ts";

/** Clients poll every second. */
const OWED_MS = 15_000;

export class OwedResult {
  private readonly text: string;
  private readonly connections: Set<number>;
  private readonly untilMs = monotonicMs() + OWED_MS;

  constructor(text: string, connections: Iterable<number>) {
    this.text = text;
    this.connections = new Set(connections);
  }

  /** The answer to this request, if it is what is owed. */
  take({ connection, parameters: [option] }: ControlRequest): ControlAnswer | undefined {
    if (!this.connections.has(connection)) return undefined;
    const isAsked = option === "-s" && monotonicMs() < this.untilMs;
    if (isAsked) this.connections.clear();
    else this.connections.delete(connection); // It is about something else by now.
    return isAsked ? { text: this.text } : undefined;
  }
}
