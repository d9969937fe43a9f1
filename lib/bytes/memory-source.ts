// A source over bytes that are in memory already: a built-in sample, a test's stream.

import { assert } from "../base/index.ts";
import type { Sink } from "./sink.ts";
import { type Source, WHOLE_BODY_BYTES } from "./source.ts";

export class MemorySource implements Source {
  readonly name: string;
  readonly bytesTotal: number;
  readonly takeBytesMax = WHOLE_BODY_BYTES;
  readonly shrunk = false;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  at = 0;
  position = 0;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.bytes = bytes;
    this.bytesTotal = bytes.byteLength;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(bytes: number): number {
    assert(bytes <= this.takeBytesMax, "a take stays within takeBytesMax");
    this.at = this.position;
    return this.skip(bytes);
  }

  peek(bytes: number): number {
    this.at = this.position;
    return Math.min(bytes, this.bytesTotal - this.position);
  }

  skip(bytes: number): number {
    const got = Math.min(bytes, this.bytesTotal - this.position);
    this.position += got;
    return got;
  }

  move(bytes: number, sink: Sink): number {
    const start = this.position;
    const got = this.skip(bytes);
    sink.write(this.bytes.subarray(start, start + got));
    return got;
  }

  [Symbol.dispose](): void {}
}
