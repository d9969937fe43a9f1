// A batch on its way: its pfns as the stream has them, the slots their contents go to, and, as
// those come, their checksums. It becomes one record of the journal when the batch is over.

import { assert } from "../base/index.ts";
import { write } from "../bytes/index.ts";
import type { JournalWriter } from "./journal-writer.ts";
import {
  BATCH_ENTRIES_MAX,
  BATCH_HEAD,
  BATCH_HEAD_BYTES,
  batchBytes,
  KIND,
  SLOT_BYTES,
} from "./layout.ts";
import type { PageFile } from "./page-file.ts";

export class BatchRecord {
  isOpen = false;
  entries = 0;
  /** Pages with contents, and those of them that came. */
  contents = 0;
  written = 0;
  headReserved = 0;
  private replaced = 0;
  private readonly journal: JournalWriter;
  private readonly words = new Uint32Array(BATCH_ENTRIES_MAX * 2);
  private readonly slots = new Uint32Array(BATCH_ENTRIES_MAX);
  private readonly checks = new Uint32Array(BATCH_ENTRIES_MAX);
  private readonly old = new Uint32Array(BATCH_ENTRIES_MAX);

  constructor(journal: JournalWriter) {
    this.journal = journal;
  }

  /** Two words an entry. */
  begin(words: Uint32Array, entries: number): void {
    this.words.set(words.subarray(0, entries * 2));
    this.isOpen = true;
    this.entries = entries;
    this.contents = 0;
    this.written = 0;
    this.replaced = 0;
  }

  addSlot(slot: number): void {
    this.slots[this.contents++] = slot;
  }

  addReplaced(slot: number): void {
    this.old[this.replaced++] = slot;
  }

  write(pages: PageFile, piece: Parameters<PageFile["write"]>[0]): void {
    assert(this.written + piece.length / SLOT_BYTES <= this.contents, "every page has a slot");
    const { slots, checks } = this;
    this.written += pages.write(piece, slots, { first: this.written, checks });
  }

  end(round: number, flags: number): void {
    const { journal, entries, contents, replaced } = this;
    assert(this.written === contents, "every page of a batch has come");
    const bytes = batchBytes(entries, contents, replaced);
    const at = journal.begin(KIND.batch, bytes);
    const head = { round, flags, entries, contents, replaced, head_reserved: this.headReserved };
    write(BATCH_HEAD, journal.view, at, head);
    let word = (at + BATCH_HEAD_BYTES) / 4;
    const put = (list: Uint32Array, count: number): void => {
      journal.words.set(list.subarray(0, count), word);
      word += count;
    };
    put(this.words, entries * 2);
    put(this.slots, contents);
    put(this.checks, contents);
    put(this.old, replaced);
    journal.end(bytes);
    this.isOpen = false;
  }
}
