// A sink that keeps everything in memory: for streams that are small by nature.

import { assert } from "../../base/index.ts";
import { BUILD_BYTES_MAX, type Sink } from "../../bytes/index.ts";
import { borrow, type Fd, readAt, readFully } from "../../sys/index.ts";

const FIRST_BYTES = 64 * 1024;

export class MemorySink implements Sink {
  readonly name = "memory";
  position = 0;
  bytes = new Uint8Array(FIRST_BYTES);
  view = new DataView(this.bytes.buffer);

  /** Everything so far, until the next call. */
  get contents(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  build(bytes: number): number {
    assert(bytes <= BUILD_BYTES_MAX, "what is built at once is small");
    return this.append(bytes);
  }

  write(bytes: Uint8Array): void {
    const at = this.append(bytes.byteLength);
    this.bytes.set(bytes, at);
  }

  copyFile(file: Fd, range: { readonly fileOffset: number; readonly bytes: number }): number {
    return this.copy(range.bytes, (address, bytes, done) =>
      readAt(file, address, bytes, range.fileOffset + done),
    );
  }

  copyPipe(pipe: Fd, bytes: number): number {
    return this.copy(bytes, (address, part) => readFully(pipe, address, part));
  }

  flush(): void {}

  private copy(
    bytes: number,
    read: (address: number, bytes: number, done: number) => number,
  ): number {
    using loan = borrow(FIRST_BYTES);
    const { address, bytes: buffer, length } = loan.region;
    for (let done = 0; done < bytes;) {
      const got = read(address, Math.min(length, bytes - done), done);
      if (got === 0) return done;
      this.write(buffer.subarray(0, got));
      done += got;
    }
    return bytes;
  }

  private append(bytes: number): number {
    const at = this.position;
    this.position += bytes;
    if (this.position > this.bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.position, this.bytes.byteLength * 2));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    this.bytes.fill(0, at, this.position);
    return at;
  }
}
