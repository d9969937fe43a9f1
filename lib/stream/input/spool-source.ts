// A source that keeps what is read of it: whatever is taken or passed over goes to a sink too. What
// nobody looks at goes there from descriptor to descriptor.

import type { Sink, Source } from "../../bytes/index.ts";

export class SpoolSource implements Source {
  readonly name: string;
  readonly bytesTotal = undefined;
  readonly takeBytesMax: number;
  private readonly source: Source;
  private readonly sink: Sink;

  /** Both stay the caller's. */
  constructor(source: Source, sink: Sink) {
    this.source = source;
    this.sink = sink;
    this.name = source.name;
    this.takeBytesMax = source.takeBytesMax;
  }

  get position(): number {
    return this.source.position;
  }
  get shrunk(): boolean {
    return this.source.shrunk;
  }
  get view(): DataView {
    return this.source.view;
  }
  get bytes(): Uint8Array {
    return this.source.bytes;
  }
  get at(): number {
    return this.source.at;
  }

  take(bytes: number): number {
    const got = this.source.take(bytes);
    this.sink.write(this.bytes.subarray(this.at, this.at + got));
    return got;
  }

  peek(bytes: number): number {
    return this.source.peek(bytes);
  }

  skip(bytes: number): number {
    return this.source.move(bytes, this.sink);
  }

  move(bytes: number, sink: Sink): number {
    for (let done = 0; done < bytes;) {
      const got = this.take(Math.min(bytes - done, this.takeBytesMax));
      if (got === 0) return done;
      sink.write(this.bytes.subarray(this.at, this.at + got));
      done += got;
    }
    return bytes;
  }

  [Symbol.dispose](): void {}
}
