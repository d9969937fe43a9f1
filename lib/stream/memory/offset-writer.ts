// Writes small things one behind the other from some offset of a file on, a buffer at a time.

import { borrow, type Fd, type Loan, writeAt } from "../../sys/index.ts";

const BUFFER_BYTES = 64 * 1024;
const WORD = 2 ** 32;

export class OffsetWriter implements Disposable {
  private readonly fd: Fd;
  private readonly loan: Loan;
  private start: number;
  private held = 0;

  constructor(fd: Fd, fileOffset: number) {
    this.fd = fd;
    this.start = fileOffset;
    this.loan = borrow(BUFFER_BYTES);
  }

  /** The offset of the next byte. */
  get position(): number {
    return this.start + this.held;
  }

  put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      if (this.held === BUFFER_BYTES) this.flush();
      const part = bytes.subarray(done, done + BUFFER_BYTES - this.held);
      this.loan.region.bytes.set(part, this.held);
      this.held += part.byteLength;
      done += part.byteLength;
    }
  }

  /** A number below 2^53 as a u64. */
  word(value: number): void {
    if (this.held + 8 > BUFFER_BYTES) this.flush();
    const { view } = this.loan.region;
    view.setUint32(this.held, value % WORD, true);
    view.setUint32(this.held + 4, value / WORD, true);
    this.held += 8;
  }

  /** Zeros up to a multiple of `step`. */
  align(step: number): void {
    const over = this.position % step;
    if (over > 0) this.put(new Uint8Array(step - over));
  }

  flush(): void {
    writeAt(this.fd, this.loan.region.address, this.held, this.start);
    this.start += this.held;
    this.held = 0;
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}
