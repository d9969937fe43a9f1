// Makes the frames of a packed image out of the original's bytes, told which of them are whole
// pages. Pages of zeros and pages that stood before cost a step of a few bytes; whether two pages
// are the same is never left to their hash alone.

import { assert } from "../../base/index.ts";
import { type Sink, write } from "../../bytes/index.ts";
import { borrow, type Fd, type Loan, readAt } from "../../sys/index.ts";
import { KnownPages } from "./known-pages.ts";
import {
  CONTENT_BYTES_MAX,
  FRAME_BYTES,
  INDEX_ROW,
  INDEX_ROW_BYTES,
  LENDERS_MAX,
  PACK_FOOTER,
  PACK_FOOTER_BYTES,
  PACK_HEADER,
  PACK_HEADER_BYTES,
  PACK_MAGIC,
  PAGE_BYTES,
  STEP,
  STEP_KIND_SHIFT,
} from "./layout.ts";

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const FIRST_INDEX_ROWS = 1024;

export interface PackCounts {
  pages: number;
  zero: number;
  repeated: number;
}

export interface PackerOptions {
  /** The original; its bytes are read by offset. */
  readonly file: Fd;
  /** Where in the file the original begins. */
  readonly start: number;
  readonly sink: Sink;
  /** zstd's: 1 is fast, 19 is small. */
  readonly level: number;
}

export class Packer implements Disposable {
  readonly counts: PackCounts = { pages: 0, zero: 0, repeated: 0 };
  private readonly options: PackerOptions;
  /** The original bytes of this frame. */
  private readonly original: Loan = borrow(FRAME_BYTES);
  private readonly other: Loan = borrow(PAGE_BYTES);
  private readonly originalBuffer: Buffer;
  private readonly otherBuffer: Buffer;
  private readonly literals = Buffer.alloc(FRAME_BYTES);
  private readonly steps: number[] = [];
  private readonly lenders = new Set<number>();
  private readonly known = new KnownPages();
  private index = new DataView(new ArrayBuffer(FIRST_INDEX_ROWS * INDEX_ROW_BYTES));
  private frames = 0;
  private usedBytes = 0;
  private literalBytes = 0;
  private nextOffset: number;

  constructor(options: PackerOptions) {
    this.options = options;
    this.nextOffset = options.start;
    this.originalBuffer = Buffer.from(this.original.region.bytes.buffer as ArrayBuffer).subarray(
      this.original.region.bytes.byteOffset,
      this.original.region.bytes.byteOffset + FRAME_BYTES,
    );
    this.otherBuffer = Buffer.from(this.other.region.bytes.buffer as ArrayBuffer).subarray(
      this.other.region.bytes.byteOffset,
      this.other.region.bytes.byteOffset + PAGE_BYTES,
    );
    const header = new Uint8Array(PACK_HEADER_BYTES);
    const row = { magic: PACK_MAGIC, version: 1, frame_bytes: FRAME_BYTES, reserved: 0n };
    write(PACK_HEADER, new DataView(header.buffer), 0, row);
    options.sink.write(header);
  }

  /** The original's bytes up to `offset` of the file, which are no pages. */
  bytesTo(offset: number): void {
    while (this.nextOffset < offset) {
      if (this.usedBytes === FRAME_BYTES) this.flush();
      const want = Math.min(offset - this.nextOffset, FRAME_BYTES - this.usedBytes);
      const at = this.usedBytes;
      const got = this.read(want);
      this.addLiteral(at, got);
      if (got < want) return; // The file is shorter than it was: finish() says so.
    }
  }

  /** `count` whole pages, the next bytes of the original. */
  pages(count: number): void {
    for (let left = count; left > 0;) {
      const room = Math.floor((FRAME_BYTES - this.usedBytes) / PAGE_BYTES);
      if (room === 0) {
        this.flush();
        continue;
      }
      const at = this.usedBytes;
      const want = Math.min(left, room);
      const whole = Math.floor(this.read(want * PAGE_BYTES) / PAGE_BYTES);
      for (let page = 0; page < whole; page++) this.addPage(at + page * PAGE_BYTES);
      if (whole < want) {
        this.addLiteral(at + whole * PAGE_BYTES, this.usedBytes - at - whole * PAGE_BYTES);
        return;
      }
      left -= whole;
    }
  }

  private read(bytes: number): number {
    const address = this.original.region.address + this.usedBytes;
    const got = readAt(this.options.file, address, bytes, this.nextOffset);
    this.usedBytes += got;
    this.nextOffset += got;
    return got;
  }

  private addPage(at: number): void {
    this.counts.pages++;
    const { originalBuffer } = this;
    const end = at + PAGE_BYTES;
    if (originalBuffer[at] === 0 && ZERO_PAGE.compare(originalBuffer, at, end) === 0) {
      this.counts.zero++;
      this.addStep(STEP.zero, 1);
      return;
    }
    const hash = Bun.hash.xxHash3(originalBuffer.subarray(at, end));
    if (this.addRepeated(hash, at)) {
      this.counts.repeated++;
      return;
    }
    const originalOffset = this.nextOffset - this.usedBytes + at;
    this.known.add(hash, { originalOffset, frame: this.frames, at: this.literalBytes });
    this.addLiteral(at, PAGE_BYTES);
  }

  /** The page at `at` as one that stood before; false where none did. */
  private addRepeated(hash: bigint, at: number): boolean {
    const page = this.known.find(hash);
    if (page === undefined) return false;
    const { originalBuffer, literals, otherBuffer, lenders } = this;
    const end = at + PAGE_BYTES;
    if (page.frame === this.frames) {
      const same = literals.compare(originalBuffer, at, end, page.at, page.at + PAGE_BYTES) === 0;
      if (same) this.steps.push(stepOf(STEP.repeated, page.at));
      return same;
    }
    if (lenders.size >= LENDERS_MAX && !lenders.has(page.frame)) return false;
    const { file } = this.options;
    const address = this.other.region.address;
    if (readAt(file, address, PAGE_BYTES, page.originalOffset) < PAGE_BYTES) return false;
    if (otherBuffer.compare(originalBuffer, at, end) !== 0) return false;
    lenders.add(page.frame);
    this.steps.push(stepOf(STEP.borrowed, page.frame), page.at);
    this.wasPair = true;
    return true;
  }
  /** The last word of `steps` belongs to a BORROWED step: no run goes on from it. */
  private wasPair = false;

  private addLiteral(at: number, bytes: number): void {
    if (bytes === 0) return;
    this.originalBuffer.copy(this.literals, this.literalBytes, at, at + bytes);
    this.literalBytes += bytes;
    this.addStep(STEP.literal, bytes);
  }

  /** A step, or one more of the run before it. */
  private addStep(kind: number, argument: number): void {
    const { steps } = this;
    const last = steps.length - 1;
    const goesOn = last >= 0 && !this.wasPair && steps[last]! >>> STEP_KIND_SHIFT === kind;
    if (goesOn) steps[last] = steps[last]! + argument;
    else steps.push(stepOf(kind, argument));
    this.wasPair = false;
  }

  /** The frame is full, or the last one. */
  private flush(): void {
    if (this.usedBytes === 0) return;
    const { steps, sink } = { steps: this.steps, sink: this.options.sink };
    const content = Buffer.alloc(4 + steps.length * 4 + this.literalBytes);
    assert(content.byteLength <= CONTENT_BYTES_MAX, "a frame's content has a bound");
    content.writeUInt32LE(steps.length, 0);
    for (const [index, step] of steps.entries()) content.writeUInt32LE(step, 4 + index * 4);
    this.literals.copy(content, 4 + steps.length * 4, 0, this.literalBytes);
    const packed = Bun.zstdCompressSync(content, { level: this.options.level });
    this.addIndexRow({
      file_offset: BigInt(sink.position),
      packed_bytes: packed.byteLength,
      original_bytes: this.usedBytes,
      hash: Bun.hash.xxHash3(this.originalBuffer.subarray(0, this.usedBytes)),
    });
    sink.write(packed);
    this.frames++;
    this.usedBytes = 0;
    this.literalBytes = 0;
    this.steps.length = 0;
    this.lenders.clear();
    this.wasPair = false;
  }

  private addIndexRow(row: Parameters<typeof write<typeof INDEX_ROW>>[3]): void {
    const at = this.frames * INDEX_ROW_BYTES;
    if (at === this.index.byteLength) {
      const grown = new Uint8Array(at * 2);
      grown.set(new Uint8Array(this.index.buffer));
      this.index = new DataView(grown.buffer);
    }
    write(INDEX_ROW, this.index, at, row);
  }

  /** The last frame, the index and the footer. Returns the size of the original in bytes. */
  finish(): number {
    this.flush();
    const { sink, start } = this.options;
    const index = new Uint8Array(this.index.buffer, 0, this.frames * INDEX_ROW_BYTES);
    const packed = Bun.zstdCompressSync(index, { level: this.options.level });
    const originalBytes = this.nextOffset - start;
    const footer = new Uint8Array(PACK_FOOTER_BYTES);
    write(PACK_FOOTER, new DataView(footer.buffer), 0, {
      original_bytes: BigInt(originalBytes),
      index_offset: BigInt(sink.position),
      index_bytes: packed.byteLength,
      frames: this.frames,
      index_hash: Bun.hash.xxHash3(packed),
      reserved: 0n,
      magic: PACK_MAGIC,
    });
    sink.write(packed);
    sink.write(footer);
    return originalBytes;
  }

  [Symbol.dispose](): void {
    this.original[Symbol.dispose]();
    this.other[Symbol.dispose]();
  }
}

const stepOf = (kind: number, argument: number): number => kind * 2 ** STEP_KIND_SHIFT + argument;
