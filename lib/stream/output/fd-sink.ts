// A descriptor as a sink. Heads are gathered in the arena; how bodies get there without passing
// through this process depends on what the descriptor is:
//
//   target     from a file          from a pipe      from a socket
//   file       copy_file_range *    splice           read, write
//   pipe       splice               splice           read, write
//   other      read, write          splice           read, write
//
// * where pages stand on pages; else read, write
// Where the kernel cannot do the first, it is told once and everything is read and written.

import { assert } from "../../base/index.ts";
import { BUILD_BYTES_MAX, type Sink } from "../../bytes/index.ts";
import {
  beginWriteback,
  borrow,
  copyFileRange,
  enlargePipe,
  type Fd,
  type FileKind,
  type FileRange,
  type Loan,
  readAt,
  readFully,
  spliceFromFile,
  spliceFromPipe,
  writeFully,
} from "../../sys/index.ts";

const BUFFER_BYTES = 4 * BUILD_BYTES_MAX;
const PAGE_BYTES = 4096;
const WRITEBACK_BYTES = 32 * 1024 * 1024;

export class FdSink implements Sink, Disposable {
  readonly name: string;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  private readonly fd: Fd;
  private readonly kind: FileKind;
  private readonly loan: Loan;
  /**
   * A new file that will be synced: the disk begins with what is written while the rest is still
   * on its way, and the sync finds little to do. It also keeps the page cache for the guests.
   */
  isSyncedLater = false;
  private writtenBytes = 0;
  /** Up to where the disk has been told to begin. */
  private startedBytes = 0;
  private heldBytes = 0;
  private canCopyFile: boolean;
  private canCopyPipe = true;

  /** Writes where the descriptor stands. Closing it stays with the caller. */
  constructor(fd: Fd, kind: FileKind) {
    this.fd = fd;
    this.name = fd.name;
    this.kind = kind;
    this.loan = borrow(BUFFER_BYTES);
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    this.canCopyFile = kind === "file" || kind === "pipe";
    if (kind === "pipe") enlargePipe(fd);
  }

  get position(): number {
    return this.writtenBytes + this.heldBytes;
  }

  build(bytes: number): number {
    assert(bytes <= BUILD_BYTES_MAX, "what is built at once is small");
    if (this.heldBytes + bytes > BUFFER_BYTES) this.flush();
    const at = this.heldBytes;
    this.heldBytes += bytes;
    return at;
  }

  write(bytes: Uint8Array): void {
    if (bytes.byteLength >= BUFFER_BYTES) return this.writeThrough(bytes);
    for (let done = 0; done < bytes.byteLength;) {
      if (this.heldBytes === BUFFER_BYTES) this.flush();
      const part = bytes.subarray(done, done + BUFFER_BYTES - this.heldBytes);
      this.bytes.set(part, this.heldBytes);
      this.heldBytes += part.byteLength;
      done += part.byteLength;
    }
  }

  /** What would fill the buffer anyway goes out from where it stands. */
  private writeThrough(bytes: Uint8Array): void {
    this.flush();
    writeFully(this.fd, bytes, bytes.byteLength);
    this.advance(bytes.byteLength);
  }

  flush(): void {
    writeFully(this.fd, this.loan.region.address, this.heldBytes);
    this.advance(this.heldBytes);
    this.heldBytes = 0;
  }

  copyFile(file: Fd, { fileOffset, bytes }: FileRange): number {
    this.flush();
    let done = 0;
    const isTried = this.canCopyFile && this.isWorthIt(fileOffset);
    if (isTried) {
      const range = { fileOffset, bytes };
      done =
        this.kind === "pipe"
          ? spliceFromFile(file, this.fd, range)
          : copyFileRange(file, this.fd, { ...range, targetOffset: undefined });
      this.advance(done);
    }
    if (done === bytes) return bytes;
    const rest = this.copyThrough(bytes - done, (address, part, at) =>
      readAt(file, address, part, fileOffset + done + at),
    );
    if (rest > 0 && isTried) this.canCopyFile = false;
    return done + rest;
  }

  /**
   * From file to file the kernel copies page by page. Where pages of the source are not pages of
   * the target, it writes every page in two parts: larger pieces are a third faster then.
   */
  private isWorthIt(fileOffset: number): boolean {
    return this.kind === "pipe" || (fileOffset - this.writtenBytes) % PAGE_BYTES === 0;
  }

  copyPipe(pipe: Fd, bytes: number): number {
    this.flush();
    let done = 0;
    if (this.canCopyPipe) {
      done = spliceFromPipe(pipe, this.fd, bytes);
      this.advance(done);
    }
    if (done === bytes) return bytes;
    const rest = this.copyThrough(bytes - done, (address, part) => readFully(pipe, address, part));
    if (rest > 0) this.canCopyPipe = false;
    return done + rest;
  }

  private advance(bytes: number): void {
    this.writtenBytes += bytes;
    if (!this.isSyncedLater || this.writtenBytes - this.startedBytes < WRITEBACK_BYTES) return;
    beginWriteback(this.fd, {
      fileOffset: this.startedBytes,
      bytes: this.writtenBytes - this.startedBytes,
    });
    this.startedBytes = this.writtenBytes;
  }

  private copyThrough(
    bytes: number,
    read: (address: number, bytes: number, at: number) => number,
  ): number {
    const { address } = this.loan.region;
    for (let done = 0; done < bytes;) {
      const got = read(address, Math.min(BUFFER_BYTES, bytes - done), done);
      if (got === 0) return done;
      writeFully(this.fd, address, got);
      this.advance(got);
      done += got;
    }
    return bytes;
  }

  /** Forgets what was not flushed. */
  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
