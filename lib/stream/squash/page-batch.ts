// Entries on their way into a PAGE_DATA record of the output: at most as many as libxc's saver
// writes. Their contents stay where they are, as runs of the input.

import { assert } from "../../base/index.ts";
import type { Sink } from "../../bytes/index.ts";
import type { PageEntry } from "../final/index.ts";
import { LIBXC, PAGE_BYTES, TYPE_SHIFT } from "../libxc/index.ts";
import { beginRecord } from "../write/index.ts";

/** MAX_BATCH_SIZE (tools/libs/guest/xg_save_restore.h). */
export const BATCH_PFNS_MAX = 1024;

const WORD = 2 ** 32;
const PFN_BYTES = 8;

export class PageBatch {
  count = 0;
  private readonly words = new Uint32Array(BATCH_PFNS_MAX * 2);
  /** Runs of contents: where they begin and how many pages they have. */
  private readonly runOffsets = new Float64Array(BATCH_PFNS_MAX);
  private readonly runPages = new Uint32Array(BATCH_PFNS_MAX);
  private runs = 0;
  private dataPages = 0;

  get isFull(): boolean {
    return this.count === BATCH_PFNS_MAX;
  }

  add({ pfn, type, hasData, contentsOffset }: PageEntry): void {
    assert(!this.isFull, "an entry is added where there is room");
    this.words[this.count * 2] = pfn; // Modulo 2^32.
    this.words[this.count * 2 + 1] = (type << TYPE_SHIFT) | Math.floor(pfn / WORD);
    this.count++;
    if (hasData) this.addContents(contentsOffset);
  }

  private addContents(fileOffset: number): void {
    const last = this.runs - 1;
    const end = last < 0 ? -1 : this.runOffsets[last]! + this.runPages[last]! * PAGE_BYTES;
    if (end === fileOffset) this.runPages[last]!++;
    else {
      this.runOffsets[this.runs] = fileOffset;
      this.runPages[this.runs] = 1;
      this.runs++;
    }
    this.dataPages++;
  }

  /** Writes the record and begins anew. `copy` appends bytes of the input. */
  flush(sink: Sink, copy: (fileOffset: number, bytes: number) => void): void {
    const { count, words, runs } = this;
    if (count === 0) return;
    const listBytes = count * PFN_BYTES;
    const tailBytes = listBytes + this.dataPages * PAGE_BYTES;
    beginRecord(sink, LIBXC.pageData, { count, reserved: 0 }, tailBytes);
    const listAt = sink.build(listBytes);
    for (let word = 0; word < count * 2; word++) {
      sink.view.setUint32(listAt + word * 4, words[word]!, true);
    }
    for (let run = 0; run < runs; run++) {
      copy(this.runOffsets[run]!, this.runPages[run]! * PAGE_BYTES);
    }
    this.clear();
  }

  clear(): void {
    this.count = 0;
    this.runs = 0;
    this.dataPages = 0;
  }

  /** Takes over all entries of another batch, which is empty then. */
  takeOver(other: PageBatch): void {
    assert(this.count + other.count <= BATCH_PFNS_MAX, "there is room for all of the other batch");
    this.words.set(other.words.subarray(0, other.count * 2), this.count * 2);
    this.count += other.count;
    for (let run = 0; run < other.runs; run++) {
      this.runOffsets[this.runs + run] = other.runOffsets[run]!;
      this.runPages[this.runs + run] = other.runPages[run]!;
    }
    this.runs += other.runs;
    this.dataPages += other.dataPages;
    other.clear();
  }
}
