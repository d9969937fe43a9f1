// A sink that keeps nothing but a checksum: for tests that make a large output many times.

import { crc32 } from "node:zlib";
import type { Sink } from "../../lib/bytes/index.ts";
import { borrow, type Fd, readAt } from "../../lib/sys/index.ts";

const CHUNK_BYTES = 1024 * 1024;

export class CrcSink implements Sink, Disposable {
  readonly name = "checksum";
  readonly bytes = new Uint8Array(4 * CHUNK_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  position = 0;
  private crc = 0;
  private held = 0;
  private readonly loan = borrow(CHUNK_BYTES);

  /** Size and checksum of everything so far. */
  get summary(): string {
    this.flush();
    return `${this.position} bytes, crc ${this.crc.toString(16)}`;
  }

  build(bytes: number): number {
    if (this.held + bytes > this.bytes.byteLength) this.flush();
    const at = this.held;
    this.held += bytes;
    this.position += bytes;
    return at;
  }

  write(bytes: Uint8Array): void {
    this.flush();
    this.take(bytes);
  }

  copyFile(file: Fd, range: { readonly fileOffset: number; readonly bytes: number }): number {
    this.flush();
    const { address, bytes } = this.loan.region;
    for (let done = 0; done < range.bytes;) {
      const want = Math.min(CHUNK_BYTES, range.bytes - done);
      const got = readAt(file, address, want, range.fileOffset + done);
      if (got === 0) return done;
      this.take(bytes.subarray(0, got));
      done += got;
    }
    return range.bytes;
  }

  copyPipe(): number {
    throw new Error("Nothing is squashed from a pipe: it is kept in a file first");
  }

  flush(): void {
    this.crc = crc32(this.bytes.subarray(0, this.held), this.crc);
    this.held = 0;
  }

  private take(bytes: Uint8Array): void {
    this.crc = crc32(bytes, this.crc);
    this.position += bytes.byteLength;
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
