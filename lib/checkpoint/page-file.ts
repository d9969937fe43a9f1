// The page file: page contents in slots. Pages that go to slots in a row are written in one call.

import { crc32 } from "node:zlib";
import { assert } from "../base/index.ts";
import { beginWriteback, type Fd, writeBytesAt } from "../sys/index.ts";
import { SLOT_BYTES } from "./layout.ts";

/** The disk begins with what was written while more is on its way. */
const WRITEBACK_BYTES = 32 * 1024 * 1024;

export class PageFile {
  readonly fd: Fd;
  private unstarted = 0;
  private low = Infinity;
  private high = 0;
  private readonly isSynced: boolean;

  /** `isSynced`: it will be synced, so that writing it to the disk may begin at once. */
  constructor(fd: Fd, isSynced: boolean) {
    this.fd = fd;
    this.isSynced = isSynced;
  }

  /**
   * Writes whole pages that stand at `at` into slots from `first` of the list on; their checksums
   * go to the same places of `checks`. Returns how many pages there were.
   */
  write(
    { bytes, at, length }: { readonly bytes: Uint8Array; readonly at: number; length: number },
    slots: Uint32Array,
    { first, checks }: { readonly first: number; readonly checks: Uint32Array },
  ): number {
    assert(length % SLOT_BYTES === 0, "contents come in whole pages");
    const pages = length / SLOT_BYTES;
    for (let page = 0; page < pages;) {
      const slot = slots[first + page]!;
      let run = 1;
      while (page + run < pages && slots[first + page + run] === slot + run) run++;
      const from = at + page * SLOT_BYTES;
      writeBytesAt(this.fd, bytes.subarray(from, from + run * SLOT_BYTES), slot * SLOT_BYTES);
      for (let index = 0; index < run; index++) {
        const start = from + index * SLOT_BYTES;
        checks[first + page + index] = crc32(bytes.subarray(start, start + SLOT_BYTES));
      }
      this.wrote(slot, run);
      page += run;
    }
    return pages;
  }

  private wrote(slot: number, run: number): void {
    if (!this.isSynced) return;
    this.unstarted += run * SLOT_BYTES;
    this.low = Math.min(this.low, slot);
    this.high = Math.max(this.high, slot + run);
    if (this.unstarted < WRITEBACK_BYTES) return;
    const bytes = (this.high - this.low) * SLOT_BYTES;
    beginWriteback(this.fd, { fileOffset: this.low * SLOT_BYTES, bytes });
    this.unstarted = 0;
    this.low = Infinity;
    this.high = 0;
  }
}
