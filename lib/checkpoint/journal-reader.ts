// Reads a journal from its beginning, record by record, as long as they are right. What stands
// behind the first record that is not is a torn tail, or damage: that is for the caller to tell,
// who knows whether a whole COMMIT comes later (hasCommitBehind).

import { crc32 } from "node:zlib";
import { hex, RefusedError, roundUp } from "../base/index.ts";
import { check, read, sizeOf, StreamError } from "../bytes/index.ts";
import { borrow, type Fd, type Loan, readAt, statOf } from "../sys/index.ts";
import {
  BODY_BYTES_MAX,
  CHECKSUM_AT,
  COMMIT,
  FILE_HEADER,
  FILE_HEADER_BYTES,
  JOURNAL_MAGIC,
  JOURNAL_VERSION,
  KIND,
  MAGIC_AND_VERSION_BYTES,
  RECORD_HEADER_BYTES,
} from "./layout.ts";

const BUFFER_BYTES = 1024 * 1024;

/** The record at hand; valid until the next one. */
export interface JournalRecord {
  readonly kind: number;
  readonly number: number;
  readonly fileOffset: number;
  /** Offset behind it. */
  readonly end: number;
  /** Its body, and where that begins. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly at: number;
  readonly bodyBytes: number;
}

export class JournalReader implements JournalRecord, Disposable {
  kind = 0;
  number = 0;
  fileOffset = FILE_HEADER_BYTES;
  end = FILE_HEADER_BYTES;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  at = 0;
  bodyBytes = 0;
  /** Why next() found no more; undefined for the end of the file. */
  stopped: string | undefined;
  private readonly fd: Fd;
  private readonly until: number;
  private readonly loan: Loan = borrow(BUFFER_BYTES);
  /** The buffer holds `held` bytes of the file from `start`. */
  private start = 0;
  private held = 0;

  /** Reads up to `until`; the descriptor stays the caller's. */
  constructor(fd: Fd, until: number) {
    this.fd = fd;
    this.until = until;
    const { bytes, view } = this.loan.region;
    this.bytes = bytes;
    this.view = view;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, BUFFER_BYTES / 4);
  }

  /** Goes on at a record whose number is known. */
  seek(fileOffset: number, number: number): void {
    this.end = fileOffset;
    this.number = number - 1;
  }

  /** Moves to the next record; false where there is none that counts. */
  next(): boolean {
    const fileOffset = this.end;
    if (fileOffset >= this.until) return false;
    const head = this.hold(fileOffset, RECORD_HEADER_BYTES);
    if (head === -1) return this.stop("a record header that the file's end cuts short");
    const bodyBytes = this.view.getUint32(head + 4, true);
    const number = this.view.getUint32(head + 8, true);
    const wanted = this.number + 1;
    if (number !== wanted) return this.stop(`record ${number} where ${wanted} is expected`);
    if (bodyBytes > BODY_BYTES_MAX) return this.stop(`a record of ${bodyBytes} bytes`);
    const bytes = RECORD_HEADER_BYTES + roundUp(bodyBytes, 8);
    const start = this.hold(fileOffset, bytes);
    if (start === -1) return this.stop("a record that the file's end cuts short");
    const at = start + RECORD_HEADER_BYTES;
    if (!this.isRight(start, bodyBytes)) return this.stop("a record with a wrong checksum");
    this.kind = this.view.getUint32(start, true);
    this.number = number;
    this.fileOffset = fileOffset;
    this.end = fileOffset + bytes;
    this.at = at;
    this.bodyBytes = bodyBytes;
    return true;
  }

  private isRight(start: number, bodyBytes: number): boolean {
    const at = start + RECORD_HEADER_BYTES;
    const head = crc32(this.bytes.subarray(start, start + CHECKSUM_AT));
    const checksum = this.view.getUint32(start + CHECKSUM_AT, true);
    return crc32(this.bytes.subarray(at, at + roundUp(bodyBytes, 8)), head) === checksum;
  }

  private stop(why: string): false {
    this.stopped = `${why} at offset ${hex(this.end)}`;
    return false;
  }

  /** Makes a stretch of the file stand together in the buffer; -1 where the file ends before. */
  private hold(fileOffset: number, bytes: number): number {
    if (fileOffset + bytes > this.until) return -1;
    const at = fileOffset - this.start;
    if (at >= 0 && at + bytes <= this.held) return at;
    const want = Math.min(BUFFER_BYTES, this.until - fileOffset);
    this.start = fileOffset;
    this.held = readAt(this.fd, this.loan.region.address, want, fileOffset);
    return this.held < bytes ? -1 : 0;
  }

  /** Whether a whole COMMIT stands behind the place where reading stopped: no torn tail, then. */
  hasCommitBehind(): boolean {
    const bodyBytes = sizeOf(COMMIT);
    for (let offset = this.end + 8; offset + RECORD_HEADER_BYTES <= this.until; offset += 8) {
      const at = this.hold(offset, Math.min(RECORD_HEADER_BYTES + bodyBytes, this.until - offset));
      if (at === -1) return false;
      if (this.view.getUint32(at, true) !== KIND.commit) continue;
      if (this.view.getUint32(at + 4, true) !== bodyBytes) continue;
      if (offset + RECORD_HEADER_BYTES + bodyBytes > this.until) return false;
      if (this.isRight(at, bodyBytes)) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}

export interface JournalStart {
  readonly stream: number;
  readonly createdMs: number;
}

/**
 * The file header; undefined for a file that ends within it, as a crash can leave it. Throws
 * RefusedError for another version, StreamError for what is no journal.
 */
export function readFileHeader(fd: Fd): JournalStart | undefined {
  using loan = borrow(FILE_HEADER_BYTES);
  const { address, bytes, view } = loan.region;
  const got = readAt(fd, address, FILE_HEADER_BYTES, 0);
  if (got >= MAGIC_AND_VERSION_BYTES) refuseNewer(fd, view);
  if (got < FILE_HEADER_BYTES) return undefined;
  const checksum = crc32(bytes.subarray(0, FILE_HEADER_BYTES - 4));
  const place = {
    layer: "checkpoint",
    record: "file_header",
    recordNumber: 0,
    fileOffset: 0,
  } as const;
  for (const finding of check(FILE_HEADER, view, 0, place)) {
    if (finding.severity === "error") throw new StreamError(finding);
  }
  const header = read(FILE_HEADER, view, 0);
  if (header.checksum !== checksum) {
    throw new StreamError({
      ...place,
      severity: "error",
      strict: true,
      field: "checksum",
      fileOffset: FILE_HEADER_BYTES - 4,
      expected: hex(checksum),
      found: hex(header.checksum),
    });
  }
  return { stream: header.stream, createdMs: Number(header.created_ms) };
}

function refuseNewer({ name }: Fd, view: DataView): void {
  if (view.getBigUint64(0, false) !== JOURNAL_MAGIC) return;
  const version = view.getUint32(8, true);
  if (version <= JOURNAL_VERSION) return;
  throw new RefusedError(
    `Cannot use "${name}": wanted a journal of version ${JOURNAL_VERSION}, ` +
      `found version ${version}: a newer agent wrote it, and nothing was touched`,
  );
}

export const sizeOfFile = (fd: Fd): number => statOf(fd.number).size;
