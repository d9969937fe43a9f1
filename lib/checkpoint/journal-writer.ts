// Appends records to a journal. A record is built in place in a buffer that goes to the file when
// it is full, or when somebody flushes it.

import { crc32 } from "node:zlib";
import { assert, roundUp } from "../base/index.ts";
import { type Layout, type Row, sizeOf, write } from "../bytes/index.ts";
import { borrow, type Fd, type Loan, writeAt } from "../sys/index.ts";
import {
  BODY_BYTES_MAX,
  CHECKSUM_AT,
  FILE_HEADER,
  FILE_HEADER_BYTES,
  JOURNAL_MAGIC,
  JOURNAL_VERSION,
  type Kind,
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  SLOT_BYTES,
} from "./layout.ts";

const BUFFER_BYTES = 1024 * 1024;
assert(BODY_BYTES_MAX * 2 < BUFFER_BYTES, "two records fit into the buffer");

export interface JournalPlace {
  /** Where the next record goes. */
  readonly position: number;
  /** Its number. */
  readonly number: number;
}

export class JournalWriter implements Disposable {
  /** Of the buffer; a record's body stands from where begin() says. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  private readonly loan: Loan = borrow(BUFFER_BYTES);
  private fd: Fd;
  private flushedTo: number;
  private held = 0;
  private nextNumber: number;
  private open: { readonly kind: Kind; readonly at: number } | undefined;

  /** Goes on at a place; the descriptor stays the caller's to close. */
  constructor(fd: Fd, place: JournalPlace) {
    this.fd = fd;
    this.flushedTo = place.position;
    this.nextNumber = place.number;
    const { bytes, view } = this.loan.region;
    this.bytes = bytes;
    this.view = view;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, BUFFER_BYTES / 4);
  }

  get place(): JournalPlace {
    return { position: this.flushedTo + this.held, number: this.nextNumber };
  }

  /** Goes on in another file, which takes the place of the first. */
  switchTo(fd: Fd, place: JournalPlace): void {
    assert(this.held === 0 && this.open === undefined, "a journal is switched between records");
    this.fd = fd;
    this.flushedTo = place.position;
    this.nextNumber = place.number;
  }

  /** A new record; returns where its body begins in the buffer. At most `bytesMax` go into it. */
  begin(kind: Kind, bytesMax: number): number {
    assert(this.open === undefined, "one record is open at a time");
    assert(bytesMax <= BODY_BYTES_MAX, "a record's body is bounded");
    if (this.held + RECORD_HEADER_BYTES + roundUp(bytesMax, 8) > BUFFER_BYTES) this.flush();
    const at = this.held + RECORD_HEADER_BYTES;
    this.open = { kind, at };
    return at;
  }

  end(bodyBytes: number): void {
    const { open, view, bytes } = this;
    assert(open, "a record is begun before it ends");
    const { kind, at } = open;
    const start = at - RECORD_HEADER_BYTES;
    const row = { kind, body_bytes: bodyBytes, number: this.nextNumber, checksum: 0 };
    write(RECORD_HEADER, view, start, row);
    const head = crc32(bytes.subarray(start, start + CHECKSUM_AT));
    const end = at + roundUp(bodyBytes, 8);
    bytes.fill(0, at + bodyBytes, end);
    view.setUint32(start + CHECKSUM_AT, crc32(bytes.subarray(at, end), head), true);
    this.held = end;
    this.nextNumber++;
    this.open = undefined;
  }

  /** A whole record of a fixed layout. */
  append<L extends Layout>(kind: Kind, layout: L, row: Row<L>): void {
    const at = this.begin(kind, sizeOf(layout));
    write(layout, this.view, at, row);
    this.end(sizeOf(layout));
  }

  /** Records of another journal that are taken over with a body as it is. */
  copy(kind: Kind, body: Uint8Array): void {
    const at = this.begin(kind, body.byteLength);
    this.bytes.set(body, at);
    this.end(body.byteLength);
  }

  flush(): void {
    assert(this.open === undefined, "only whole records are written");
    writeAt(this.fd, this.loan.region.address, this.held, this.flushedTo);
    this.flushedTo += this.held;
    this.held = 0;
  }

  /** What was not flushed is forgotten. */
  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}

/** Writes the file header and returns where records begin. */
export function writeFileHeader(
  fd: Fd,
  { stream, createdMs }: { readonly stream: number; readonly createdMs: number },
): JournalPlace {
  using loan = borrow(FILE_HEADER_BYTES);
  const { address, bytes, view } = loan.region;
  const row = {
    magic: JOURNAL_MAGIC,
    version: JOURNAL_VERSION,
    header_bytes: FILE_HEADER_BYTES,
    stream,
    slot_bytes: SLOT_BYTES,
    created_ms: BigInt(createdMs),
    reserved_a: 0n,
    reserved_b: 0n,
    reserved_c: 0n,
    reserved_d: 0,
    checksum: 0,
  };
  write(FILE_HEADER, view, 0, row);
  const checksum = crc32(bytes.subarray(0, FILE_HEADER_BYTES - 4));
  view.setUint32(FILE_HEADER_BYTES - 4, checksum, true);
  writeAt(fd, address, FILE_HEADER_BYTES, 0);
  return { position: FILE_HEADER_BYTES, number: 1 };
}
