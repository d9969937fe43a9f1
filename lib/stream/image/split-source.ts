// A source that loses no byte: what a walk takes is kept until somebody says what it was, and what
// it passes over goes on to a sink. So a walk with a visitor is enough to take a stream apart, and
// every byte of it ends up somewhere, whatever the format. Bodies never pass through this process.

import { type Sink, type Source, WHOLE_BODY_BYTES } from "../../bytes/index.ts";

export interface SplitListener {
  /** Bytes are about to be passed over: where do they go? */
  sink(): Sink;
  /** That many were. */
  moved(bytes: number): void;
}

export class SplitSource implements Source {
  readonly takeBytesMax = WHOLE_BODY_BYTES;
  private readonly inner: Source;
  private readonly listener: SplitListener;
  private pending = new Uint8Array(64 * 1024);
  private pendingBytes = 0;

  /** The inner source stays the caller's to close. */
  constructor(inner: Source, listener: SplitListener) {
    this.inner = inner;
    this.listener = listener;
  }

  get name(): string {
    return this.inner.name;
  }
  get bytesTotal(): number | undefined {
    return this.inner.bytesTotal;
  }
  get position(): number {
    return this.inner.position;
  }
  get shrunk(): boolean {
    return this.inner.shrunk;
  }
  get view(): DataView {
    return this.inner.view;
  }
  get bytes(): Uint8Array {
    return this.inner.bytes;
  }
  get at(): number {
    return this.inner.at;
  }

  take(bytes: number): number {
    const got = this.inner.take(bytes);
    const { at } = this.inner;
    this.keep(this.inner.bytes.subarray(at, at + got));
    return got;
  }

  peek(bytes: number): number {
    return this.inner.peek(bytes);
  }

  skip(bytes: number): number {
    const got = this.inner.move(bytes, this.listener.sink());
    this.listener.moved(got);
    return got;
  }

  move(bytes: number, sink: Sink): number {
    return this.inner.move(bytes, sink);
  }

  /** Everything that was taken since the last call, in a copy. */
  taken(): Uint8Array {
    const bytes = this.pending.slice(0, this.pendingBytes);
    this.pendingBytes = 0;
    return bytes;
  }

  private keep(bytes: Uint8Array): void {
    const wanted = this.pendingBytes + bytes.byteLength;
    if (wanted > this.pending.byteLength) {
      const grown = new Uint8Array(Math.max(wanted, this.pending.byteLength * 2));
      grown.set(this.pending.subarray(0, this.pendingBytes));
      this.pending = grown;
    }
    this.pending.set(bytes, this.pendingBytes);
    this.pendingBytes = wanted;
  }

  [Symbol.dispose](): void {}
}
