// A regular file as a source. Small pieces (record headers, pfn lists) are read into the arena: 8
// KiB of every 4 MiB cost one pread, less than a guarded page fault, and a file that shrinks gives
// a short read instead of a SIGBUS. Large bodies that somebody wants are mapped, so that they are
// never copied.
//
// The amount read ahead adapts: after a jump over page contents only what a pfn list needs is read;
// while the stream is read without jumps (an HVM guest's hole map) it doubles up to the whole
// buffer.

import { assert } from "../../base/index.ts";
import { PEEK_BYTES_MAX, type Sink, type Source, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import {
  adviseDrop,
  adviseRandom,
  borrow,
  type Fd,
  isRangeCached,
  type Loan,
  mapWindow,
  readAt,
  type Window,
} from "../../sys/index.ts";

const BUFFER_BYTES = WHOLE_BODY_BYTES + 4096;
/** A record header, a PAGE_DATA head, 1024 pfns, and the next header where no contents follow. */
const AHEAD_BYTES_MIN = 8 * 1024 + 64;
const AHEAD_BYTES_MAX = 256 * 1024;
/** Takes above this are mapped; below, copying 4 KiB pages costs less than mapping them. */
const MAP_BYTES_MIN = 256 * 1024;
const MAPPED_TAKE_BYTES_MAX = 16 * 1024 * 1024;
/** Where bodies are copied: whether the file is cached is asked once for so many bytes. */
const STRETCH_BYTES = 16 * 1024 * 1024;
const PAGE_BYTES = 4096;

export interface FileSourceOptions {
  readonly bytesTotal: number;
  /** The absolute offset that reading begins at. */
  readonly start: number;
  /**
   * Large bodies are read into one buffer that stays the same, not mapped: for those who look at
   * every byte in small parts. The copy stays in the processor's cache, and costs less than a view
   * of each part of a new mapping.
   */
  readonly copiesBodies?: boolean;
}

export class FileSource implements Source {
  readonly name: string;
  readonly bytesTotal: number;
  position: number;
  shrunk = false;
  takeBytesMax = MAPPED_TAKE_BYTES_MAX;
  view: DataView;
  bytes: Uint8Array;
  at = 0;

  private readonly fd: Fd;
  private readonly loan: Loan;
  private window: Window | undefined;
  /** What the buffer holds: `bufferedBytes` of the file from `bufferStart`. */
  private bufferStart = 0;
  private bufferedBytes = 0;
  private aheadBytes = AHEAD_BYTES_MIN;
  private readonly copiesBodies: boolean;
  /** Where the stretch ends that was asked about, and what the answer was. */
  private stretchEnd = 0;
  private stretchCached = true;

  /** Takes the descriptor over. */
  constructor(fd: Fd, options: FileSourceOptions) {
    this.fd = fd;
    this.name = fd.name;
    this.bytesTotal = options.bytesTotal;
    this.position = options.start;
    this.copiesBodies = options.copiesBodies === true;
    if (this.copiesBodies) this.takeBytesMax = WHOLE_BODY_BYTES;
    this.loan = borrow(BUFFER_BYTES);
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    adviseRandom(fd);
  }

  take(bytes: number): number {
    // What the last read has brought already: two takes of three in a guest's batches.
    const at = this.position - this.bufferStart;
    if (this.window === undefined && at >= 0 && at + bytes <= this.bufferedBytes) {
      this.at = at;
      this.position += bytes;
      return bytes;
    }
    const got = bytes > MAP_BYTES_MIN ? this.takeLarge(bytes) : this.takeRead(bytes);
    this.position += got;
    return got;
  }

  private takeLarge(bytes: number): number {
    assert(bytes <= this.takeBytesMax, "a take stays within takeBytesMax");
    return this.copiesBodies ? this.takeCopied(bytes) : this.takeMapped(bytes);
  }

  peek(bytes: number): number {
    assert(bytes <= PEEK_BYTES_MAX, "a peek stays within PEEK_BYTES_MAX");
    return this.takeRead(bytes);
  }

  skip(bytes: number): number {
    const got = Math.min(bytes, Math.max(0, this.bytesTotal - this.position));
    this.position += got;
    return got;
  }

  move(bytes: number, sink: Sink): number {
    const fileOffset = this.position;
    const want = this.skip(bytes);
    const got = sink.copyFile(this.fd, { fileOffset, bytes: want });
    if (got < want) {
      this.shrunk = true;
      this.position = fileOffset + got;
    }
    return got;
  }

  private takeRead(bytes: number): number {
    if (this.window !== undefined) this.releaseWindow();
    let at = this.position - this.bufferStart;
    if (at < 0 || at + bytes > this.bufferedBytes) {
      this.fill(bytes);
      at = 0;
    }
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    this.at = at;
    return Math.min(bytes, this.bufferedBytes - at);
  }

  private fill(bytes: number): void {
    const readOn = this.position <= this.bufferStart + this.bufferedBytes;
    const wasEmpty = this.bufferedBytes === 0;
    const next = readOn && !wasEmpty ? this.aheadBytes * 2 : AHEAD_BYTES_MIN;
    this.aheadBytes = Math.min(next, AHEAD_BYTES_MAX);
    const left = Math.max(0, this.bytesTotal - this.position);
    const want = Math.min(Math.max(bytes, this.aheadBytes), left);
    this.bufferStart = this.position;
    this.bufferedBytes = readAt(this.fd, this.loan.region.address, want, this.position);
    if (this.bufferedBytes < want) this.shrunk = true;
  }

  /** What was not in the page cache before does not stay there, as in mapWindow. */
  private takeCopied(bytes: number): number {
    const { fd, position } = this;
    const left = this.bytesTotal - position;
    if (position >= this.stretchEnd && left > 0) {
      const stretch = Math.min(STRETCH_BYTES, left);
      this.stretchEnd = position + stretch;
      this.stretchCached = isRangeCached(fd, position, stretch);
    }
    const got = this.takeRead(bytes);
    if (!this.stretchCached) {
      const slack = position % PAGE_BYTES;
      adviseDrop(fd, position - slack, slack + got);
    }
    return got;
  }

  private takeMapped(bytes: number): number {
    this.releaseWindow();
    const length = Math.min(bytes, Math.max(0, this.bytesTotal - this.position));
    if (length <= MAP_BYTES_MIN) return this.takeRead(bytes);
    const mapped = mapWindow(this.fd, this.position, length);
    if (mapped.kind !== "window") {
      // Reading tells how much of a shrunk file is left, and works where mappings cannot be
      // guarded.
      if (mapped.kind === "unsupported") this.takeBytesMax = WHOLE_BODY_BYTES;
      return this.takeRead(Math.min(bytes, WHOLE_BODY_BYTES));
    }
    this.window = mapped.window;
    this.view = mapped.window.view;
    this.bytes = mapped.window.bytes;
    this.at = 0;
    return length;
  }

  private releaseWindow(): void {
    this.window?.[Symbol.dispose]();
    this.window = undefined;
  }

  [Symbol.dispose](): void {
    this.releaseWindow();
    this.loan[Symbol.dispose]();
    this.fd[Symbol.dispose]();
  }
}
