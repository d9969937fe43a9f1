// A copy of the arena while it is in use, for a new program's rehearsal.
//
// Theory of Operation. The arena is copied in slices between wake-ups, so what comes out first may
// be a mixture of moments; where nothing was written meanwhile it is not. Else it is compared with
// the arena, again in slices, and what differs is copied again, until a pass goes by without a
// write. A store that is written to all the time gets a last pass in one go, between two requests:
// comparing is several times faster than copying would be, and that is all that clients wait for.

import {
  compareMemory,
  copyMemory,
  createMemfd,
  type Fd,
  mapSharedRange,
  monotonicMs,
  resizeFile,
  type SharedRange,
} from "../sys/index.ts";
import type { Snapshot } from "../handover/index.ts";

/** The arena, where it stands now. */
export interface ArenaView {
  readonly address: number;
  readonly bytes: number;
}

/** The store that is copied, as it stands now. */
export interface CopiedStore {
  arena(): ArenaView;
  digest(): string;
  /** Another number after each change. */
  lastChange(): number;
}

const STEP_BYTES = 256 * 1024;
const COMPARE_BYTES = 16 * 1024;
/** With the first one, which copies. Fewer changes come into each, as each is quicker. */
const PASSES_MAX = 4;

export class ArenaCopy implements Snapshot {
  readonly file: Fd;
  digest = "";
  private readonly store: CopiedStore;
  private memory: SharedRange;
  private pass = 1;
  private passChange: number;
  private at = 0;

  /** The store is asked again and again: its arena grows. */
  constructor(store: CopiedStore) {
    this.store = store;
    this.passChange = store.lastChange();
    this.file = createMemfd("xenstore-copy");
    resizeFile(this.file, store.arena().bytes);
    this.memory = mapSharedRange(this.file, "write");
  }

  advance(budgetMs: number): boolean {
    const untilMs = monotonicMs() + budgetMs;
    const { address, bytes } = this.store.arena();
    if (bytes > this.memory.length) this.enlarge(bytes);
    while (this.at < bytes) {
      this.step(address, Math.min(STEP_BYTES, bytes - this.at));
      if (this.pass <= PASSES_MAX && monotonicMs() >= untilMs) break;
    }
    if (this.at < bytes) return false;
    if (this.pass > PASSES_MAX || this.passChange === this.store.lastChange()) {
      this.digest = this.store.digest();
      return true;
    }
    this.pass += 1;
    this.passChange = this.store.lastChange();
    this.at = 0;
    return this.pass > PASSES_MAX && this.advance(budgetMs);
  }

  /** The first pass copies, the others look for what differs. */
  private step(address: number, bytes: number): void {
    const end = this.at + bytes;
    if (this.pass === 1) {
      copyMemory(this.memory.address + this.at, address + this.at, bytes);
      this.at = end;
    }
    for (; this.at < end; this.at += COMPARE_BYTES) {
      const [target, source] = [this.memory.address + this.at, address + this.at];
      const piece = Math.min(COMPARE_BYTES, end - this.at);
      if (compareMemory(target, source, piece) !== 0) copyMemory(target, source, piece);
    }
    this.at = end;
  }

  private enlarge(bytes: number): void {
    this.memory[Symbol.dispose]();
    resizeFile(this.file, bytes);
    this.memory = mapSharedRange(this.file, "write");
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
    this.file[Symbol.dispose]();
  }
}
