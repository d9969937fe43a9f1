// The line from the process that supervises a relay: single letters come down it, and its end means
// that the supervisor is gone, however that happened.

import { SystemError } from "../../base/index.ts";
import { borrow, type Fd, type Loan, type PollSet, readReady } from "../../sys/index.ts";
import type { Duty } from "./pump.ts";

export const LIFELINE = { status: "s", stop: "t" } as const;
const READ_BYTES = 16;

export interface LifelineOptions {
  readonly fd: Fd;
  readonly onStatus: () => void;
  readonly onStop: () => void;
  readonly onOrphaned: () => void;
}

export class Lifeline implements Duty, Disposable {
  private readonly options: LifelineOptions;
  private readonly loan: Loan = borrow(READ_BYTES);
  private place = -1;
  private isOver = false;

  constructor(options: LifelineOptions) {
    this.options = options;
  }

  enter(poll: PollSet): void {
    if (!this.isOver) this.place = poll.add(this.options.fd, "readable");
  }

  serve(poll: PollSet): void {
    if (this.isOver || !poll.isReadable(this.place)) return;
    const { address, bytes } = this.loan.region;
    let got = 0;
    try {
      got = readReady(this.options.fd, address, READ_BYTES);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // No line is as good as its end.
    }
    if (got === 0) {
      this.isOver = true;
      return this.options.onOrphaned();
    }
    const letters = String.fromCharCode(...bytes.subarray(0, Math.max(0, got)));
    if (letters.includes(LIFELINE.status)) this.options.onStatus();
    if (letters.includes(LIFELINE.stop)) this.options.onStop();
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
