// A pipe, socket or character device as a source. It reads exactly what is asked for, never a byte
// beyond: what stands behind a stream belongs to somebody else. Bodies that nobody wants go from a
// pipe to /dev/null by splice, without passing through this process.

import { assert } from "../../base/index.ts";
import { PEEK_BYTES_MAX, type Sink, type Source, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import {
  borrow,
  enlargePipe,
  type Fd,
  type Loan,
  openNull,
  readFully,
  spliceFully,
} from "../../sys/index.ts";

/** Room for what was peeked and a whole body behind it. */
const BUFFER_BYTES = WHOLE_BODY_BYTES + 4096;
/** Where splicing is impossible (sockets), bodies are read and forgotten in pieces of this size. */
const DISCARD_BYTES = 256 * 1024;

export class PipeSource implements Source {
  readonly name: string;
  readonly bytesTotal = undefined;
  readonly shrunk = false;
  readonly takeBytesMax = WHOLE_BODY_BYTES;
  readonly isOursToTheEnd: boolean;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  at = 0;
  position = 0;

  private readonly fd: Fd;
  private readonly loan: Loan;
  private readonly drain: Fd | undefined;
  private canSplice: boolean;
  /** Bytes of the buffer that were peeked and not yet taken. */
  private heldStart = 0;
  private heldBytes = 0;

  /** Takes the descriptor over. */
  constructor(
    fd: Fd,
    options: { readonly isPipe: boolean; readonly isOursToTheEnd?: boolean },
  ) {
    this.isOursToTheEnd = options.isOursToTheEnd === true;
    this.fd = fd;
    this.name = fd.name;
    this.loan = borrow(BUFFER_BYTES);
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    this.canSplice = options.isPipe;
    if (options.isPipe) {
      enlargePipe(fd);
      this.drain = openNull();
    }
  }

  take(bytes: number): number {
    assert(bytes <= this.takeBytesMax, "a take stays within takeBytesMax");
    const got = Math.min(this.hold(bytes), bytes);
    this.release(got);
    return got;
  }

  peek(bytes: number): number {
    assert(bytes <= PEEK_BYTES_MAX, "a peek stays within PEEK_BYTES_MAX");
    return Math.min(this.hold(bytes), bytes);
  }

  skip(bytes: number): number {
    const held = Math.min(bytes, this.heldBytes);
    this.release(held);
    const rest = bytes - held;
    const got = this.canSplice ? this.skipSpliced(rest) : this.skipRead(rest);
    this.position += got;
    return held + got;
  }

  move(bytes: number, sink: Sink): number {
    const held = Math.min(bytes, this.heldBytes);
    if (held > 0) sink.write(this.bytes.subarray(this.heldStart, this.heldStart + held));
    this.release(held);
    if (held === bytes) return bytes;
    const got = sink.copyPipe(this.fd, bytes - held);
    this.position += got;
    return held + got;
  }

  /**
   * Makes the buffer hold at least `bytes` bytes from `at` on; fewer only at the end of the input.
   */
  private hold(bytes: number): number {
    if (bytes > this.heldBytes) {
      this.bytes.copyWithin(0, this.heldStart, this.heldStart + this.heldBytes);
      this.heldStart = 0;
      const missing = bytes - this.heldBytes;
      this.heldBytes += readFully(this.fd, this.loan.region.address + this.heldBytes, missing);
    }
    this.at = this.heldStart;
    return this.heldBytes;
  }

  private release(bytes: number): void {
    this.heldBytes -= bytes;
    this.heldStart = this.heldBytes === 0 ? 0 : this.heldStart + bytes;
    this.position += bytes;
  }

  private skipSpliced(bytes: number): number {
    assert(this.drain, "a source that splices has somewhere to splice to");
    const result = spliceFully(this.fd, this.drain, bytes);
    if (result.kind === "moved") return result.bytes;
    this.canSplice = false;
    return this.skipRead(bytes);
  }

  private skipRead(bytes: number): number {
    let done = 0;
    while (done < bytes) {
      const want = Math.min(bytes - done, DISCARD_BYTES);
      const got = readFully(this.fd, this.loan.region.address, want);
      done += got;
      if (got < want) break;
    }
    return done;
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
    this.drain?.[Symbol.dispose]();
    this.fd[Symbol.dispose]();
  }
}
