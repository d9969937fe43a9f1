// Rings on which requests stand that were received: the first part of one, or those whose answers
// come later. What a guest puts behind them comes without an event (see ring.ts), so these are
// looked at by a timer: soon, for a guest that is about to write the rest, and then less and less
// often.

import type { Loop, Timer } from "../sys/index.ts";
import type { Client } from "./client.ts";

const FIRST_LOOK_MS = 1;
/** For a guest that never writes the rest: a word of its page is read so often. */
const LOOK_MS_MAX = 64;

export class HoldingRings {
  private readonly loop: Loop;
  private readonly run: (client: Client) => void;
  private readonly clients = new Set<Client>();
  private timer: Timer | undefined;
  private waitMs = FIRST_LOOK_MS;

  /** `run` serves a client that has sent something. */
  constructor(loop: Loop, run: (client: Client) => void) {
    [this.loop, this.run] = [loop, run];
  }

  add(client: Client): void {
    if (this.clients.has(client)) return;
    this.clients.add(client);
    if (this.timer !== undefined) this.loop.cancel(this.timer);
    this.lookIn(FIRST_LOOK_MS);
  }

  delete(client: Client): void {
    this.clients.delete(client);
  }

  /** Before the pages are given away. */
  clear(): void {
    this.clients.clear();
    if (this.timer !== undefined) this.loop.cancel(this.timer);
    this.timer = undefined;
  }

  private lookIn(waitMs: number): void {
    this.waitMs = waitMs;
    this.timer = this.loop.after(waitMs, () => this.look());
  }

  private look(): void {
    this.timer = undefined;
    for (const client of this.clients) {
      const { ring } = client;
      if (ring !== undefined && ring.isHolding && !ring.hasInput) continue;
      this.clients.delete(client);
      this.run(client);
    }
    if (this.clients.size > 0) this.lookIn(Math.min(this.waitMs * 2, LOOK_MS_MAX));
  }
}
