// A copy of the arena while it is in use, for a new program's rehearsal.
//
// Theory of Operation. The arena is copied in slices between wake-ups, so what comes out first is a
// mixture of moments. At the end, in one go and between two requests, each page is compared with
// the arena and what differs is copied again: comparing is several times faster than copying would
// be, and that last pass is all that clients wait for.

import {
  compareMemory,
  copyMemory,
  createMemfd,
  type Fd,
  mapShared,
  monotonicMs,
  resizeFile,
  type SharedMemory,
} from "../sys/index.ts";
import type { Snapshot } from "../handover/index.ts";

/** The arena, where it stands now. */
export interface ArenaView {
  readonly address: number;
  readonly bytes: number;
}

const STEP_BYTES = 256 * 1024;
const COMPARE_BYTES = 16 * 1024;

export class ArenaCopy implements Snapshot {
  readonly file: Fd;
  digest = "";
  private readonly arena: () => ArenaView;
  private readonly digestNow: () => string;
  private memory: SharedMemory;
  private at = 0;

  /** `arena` is asked again and again: it grows. */
  constructor(arena: () => ArenaView, digestNow: () => string) {
    this.arena = arena;
    this.digestNow = digestNow;
    this.file = createMemfd("xenstore-copy");
    resizeFile(this.file, arena().bytes);
    this.memory = mapShared(this.file, "write");
  }

  advance(budgetMs: number): boolean {
    const untilMs = monotonicMs() + budgetMs;
    const { address, bytes } = this.arena();
    if (bytes > this.memory.bytes.length) this.enlarge(bytes);
    while (this.at < bytes) {
      const step = Math.min(STEP_BYTES, bytes - this.at);
      copyMemory(this.memory.address + this.at, address + this.at, step);
      this.at += step;
      if (monotonicMs() >= untilMs && this.at < bytes) return false;
    }
    this.catchUp(address, bytes);
    this.digest = this.digestNow();
    return true;
  }

  private catchUp(address: number, bytes: number): void {
    for (let at = 0; at < bytes; at += COMPARE_BYTES) {
      const step = Math.min(COMPARE_BYTES, bytes - at);
      const target = this.memory.address + at;
      if (compareMemory(target, address + at, step) !== 0) copyMemory(target, address + at, step);
    }
  }

  private enlarge(bytes: number): void {
    this.memory[Symbol.dispose]();
    resizeFile(this.file, bytes);
    this.memory = mapShared(this.file, "write");
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
    this.file[Symbol.dispose]();
  }
}
