// An event loop that a test steps by hand: each step calls the handlers of what is ready now. The
// descriptors are real.

import type { SessionLoop } from "../../lib/device/session.ts";
import { type Fd, PollSet, READY_MASK, type Timer } from "../../lib/sys/index.ts";

interface Watch {
  readonly fd: Fd;
  mask: number;
  readonly handler: (readyMask: number) => void;
}

export class SteppedLoop implements SessionLoop, Disposable {
  private readonly watches = new Map<number, Watch>();
  private readonly poll = new PollSet();

  watch(fd: Fd, mask: number, handler: (readyMask: number) => void): void {
    this.watches.set(fd.number, { fd, mask, handler });
  }
  change(fd: Fd, mask: number): void {
    const watch = this.watches.get(fd.number);
    if (watch === undefined) throw new Error("A descriptor is watched before that changes");
    watch.mask = mask;
  }
  forget(fd: Fd): void {
    if (!this.watches.delete(fd.number)) throw new Error("A descriptor is forgotten once");
  }
  after(): Timer {
    return { deadlineMs: 0, order: 0, run: () => {}, index: -1 };
  }
  cancel(): void {}

  get watchCount(): number {
    return this.watches.size;
  }

  /** Whether a handler was called. */
  step(): boolean {
    let called = false;
    for (const watch of this.watches.values()) {
      const ready = this.readyMask(watch);
      if (ready === 0) continue;
      called = true;
      watch.handler(ready);
    }
    return called;
  }

  [Symbol.dispose](): void {
    this.poll[Symbol.dispose]();
  }

  private readyMask({ fd, mask }: Watch): number {
    this.poll.clear();
    const readable = this.poll.add(fd, "readable");
    const writable = this.poll.add(fd, "writable");
    if (!this.poll.wait(0)) return 0;
    const found =
      (this.poll.isReadable(readable) ? READY_MASK.readable : 0) |
      (this.poll.isWritable(writable) ? READY_MASK.writable : 0);
    return found & mask;
  }
}
