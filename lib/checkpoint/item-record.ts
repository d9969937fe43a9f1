// Items on their way into the journal: bytes of the stream that are kept as they are, in as many
// records as they need.

import { assert } from "../base/index.ts";
import { type Row, write } from "../bytes/index.ts";
import type { JournalWriter } from "./journal-writer.ts";
import { ITEM_HEAD, ITEM_HEAD_BYTES, ITEM_PART_BYTES, KIND } from "./layout.ts";

type ItemFields = Pick<Row<typeof ITEM_HEAD>, "item" | "round" | "type" | "vcpu">;

const header = new Uint8Array(8);
const headerView = new DataView(header.buffer);
const ZEROS = new Uint8Array(8);

export class ItemRecord {
  /** What came before the image's domain header was over. */
  readonly headers: Uint8Array[] = [];
  private isPastHeaders = false;
  /** They stand in the journal already. */
  private readonly skipsHeaders: boolean;
  private readonly journal: JournalWriter;
  private fields: ItemFields | undefined;
  private at = 0;
  private held = 0;

  constructor(journal: JournalWriter, options: { readonly skipsHeaders: boolean }) {
    this.journal = journal;
    this.skipsHeaders = options.skipsHeaders;
  }

  passHeaders(): void {
    this.isPastHeaders = true;
  }

  private get isSkipped(): boolean {
    return this.skipsHeaders && !this.isPastHeaders;
  }

  get isOpen(): boolean {
    return this.fields !== undefined;
  }

  begin(fields: ItemFields): void {
    assert(this.fields === undefined, "one item is open at a time");
    this.fields = fields;
    if (!this.isSkipped) this.open();
  }

  private open(): void {
    this.at = this.journal.begin(KIND.item, ITEM_HEAD_BYTES + ITEM_PART_BYTES);
    this.held = 0;
  }

  add(bytes: Uint8Array): void {
    if (!this.isPastHeaders) this.headers.push(bytes.slice());
    if (this.isSkipped) return;
    for (let done = 0; done < bytes.byteLength;) {
      if (this.held === ITEM_PART_BYTES) {
        this.close(1);
        this.open();
      }
      const part = bytes.subarray(done, done + ITEM_PART_BYTES - this.held);
      this.journal.bytes.set(part, this.at + ITEM_HEAD_BYTES + this.held);
      this.held += part.byteLength;
      done += part.byteLength;
    }
  }

  /** The eight bytes before a record's body. */
  addHeader(type: number, bodyBytes: number): void {
    headerView.setUint32(0, type, true);
    headerView.setUint32(4, bodyBytes, true);
    this.add(header);
  }

  /** What stands behind a body of that size: zeros where nothing else is known. */
  pad(bodyBytes: number, padding: Uint8Array | undefined): void {
    const bytes = (8 - (bodyBytes % 8)) % 8;
    this.add(padding ?? ZEROS.subarray(0, bytes));
  }

  end(): void {
    if (!this.isSkipped) this.close(0);
    this.fields = undefined;
  }

  private close(continues: 0 | 1): void {
    assert(this.fields, "an item is begun before it ends");
    const row = { ...this.fields, continues, reserved: 0 };
    write(ITEM_HEAD, this.journal.view, this.at, row);
    this.journal.end(ITEM_HEAD_BYTES + this.held);
  }
}
