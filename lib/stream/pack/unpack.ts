// unpack: a packed image's bytes back, from any offset. Every frame is checked against its hash
// before a byte of it goes out. The image is hostile input: no length it claims is believed.

import { hex, toCount } from "../../base/index.ts";
import { check, type Finding, read, type Sink, StreamError } from "../../bytes/index.ts";
import { borrow, type Fd, type Loan, readAt } from "../../sys/index.ts";
import { inflate, inflateAhead } from "./inflate.ts";
import {
  CONTENT_BYTES_MAX,
  FRAME_BYTES,
  FRAMES_MAX,
  INDEX_ROW,
  INDEX_ROW_BYTES,
  PACK_FOOTER,
  PACK_FOOTER_BYTES,
  PACK_HEADER,
  PACK_HEADER_BYTES,
  PACKED_FRAME_BYTES_MAX,
} from "./layout.ts";
import { type FrameContent, openContent, replay } from "./replay.ts";
import type { UnpackReport } from "./report.ts";

/** Frames that lent a page to the last ones, kept unpacked: about a MiB each. */
const LENDERS_KEPT = 12;
/** Frames uncompressed by other threads while one is written: enough for two processors. */
const FRAMES_AHEAD = 2;

export interface UnpackRange {
  /** Offset in the original. */
  readonly from: number;
  /** undefined: to the end. */
  readonly bytes: number | undefined;
  readonly onProgress: (position: number) => void;
}

/** Writes the range to `sink`. Throws StreamError (a damaged image) and SystemError. */
export async function unpackImage(
  image: PackedImage,
  sink: Sink,
  range: UnpackRange,
): Promise<UnpackReport> {
  const from = Math.min(range.from, image.originalBytes);
  const left = image.originalBytes - from;
  const bytes = Math.min(range.bytes ?? left, left);
  const end = from + bytes;
  let position = from;
  for (let frame = image.frameAt(from); position < end; frame++) {
    // oxlint-disable-next-line no-await-in-loop -- frames go out in order; the next is under way.
    const original = await image.original(frame);
    const start = image.startOf(frame);
    const part = original.subarray(position - start, Math.min(end - start, original.byteLength));
    sink.write(part);
    position += part.byteLength;
    range.onProgress(position);
  }
  const { originalBytes } = image;
  return { input: image.name, output: sink.name, original_bytes: originalBytes, from, bytes };
}

export class PackedImage implements Disposable {
  readonly name: string;
  readonly originalBytes: number;
  private readonly fd: Fd;
  private readonly packed: Loan = borrow(Math.ceil(PACKED_FRAME_BYTES_MAX / 4096) * 4096);
  private readonly out = Buffer.alloc(FRAME_BYTES);
  private readonly index: DataView;
  /** Offset in the original of each frame's first byte. */
  private readonly starts: Float64Array;
  /** Frames that are being uncompressed. */
  private readonly ahead = new Map<number, Promise<Uint8Array | undefined>>();
  private readonly lenders = new Map<number, FrameContent>();

  /** Takes the descriptor over. `bytes`: the size of the file. Throws StreamError. */
  constructor(fd: Fd, bytes: number) {
    this.fd = fd;
    this.name = fd.name;
    try {
      const footer = this.readFooter(bytes);
      this.index = this.readIndex(footer);
      this.starts = new Float64Array(footer.frames + 1);
      this.checkIndex(footer);
      this.originalBytes = footer.originalBytes;
    } catch (error) {
      this[Symbol.dispose](); // Nobody will have an image to dispose of.
      throw error;
    }
  }

  private readFooter(bytes: number): Footer {
    if (bytes < PACK_HEADER_BYTES + PACK_FOOTER_BYTES) {
      const expected = `at least ${PACK_HEADER_BYTES + PACK_FOOTER_BYTES} bytes`;
      throw packError({ record: "header", field: "size", at: 0, expected, found: String(bytes) });
    }
    this.take(0, PACK_HEADER_BYTES, "header");
    this.checkFields(PACK_HEADER, { record: "header", fileOffset: 0 });
    const fileOffset = bytes - PACK_FOOTER_BYTES;
    this.take(fileOffset, PACK_FOOTER_BYTES, "footer");
    this.checkFields(PACK_FOOTER, { record: "footer", fileOffset });
    const row = read(PACK_FOOTER, this.packed.region.view, 0);
    const indexOffset = toCount(row.index_offset);
    const originalBytes = toCount(row.original_bytes);
    const { frames, index_bytes: indexBytes } = row;
    const isPlaced = indexOffset !== undefined && indexOffset + indexBytes === fileOffset;
    if (!isPlaced || originalBytes === undefined || frames > FRAMES_MAX) {
      const expected = "an index that ends where the footer begins";
      const found = `${indexBytes} bytes at ${hex(row.index_offset)} for ${frames} frames`;
      throw packError({ record: "footer", field: "index", at: fileOffset, expected, found });
    }
    return { originalBytes, indexOffset, indexBytes, frames, indexHash: row.index_hash };
  }

  private checkFields(
    layout: typeof PACK_HEADER | typeof PACK_FOOTER,
    place: { readonly record: string; readonly fileOffset: number },
  ): void {
    const { view } = this.packed.region;
    for (const finding of check(layout, view, 0, { ...place, layer: "pack", recordNumber: 0 })) {
      if (finding.severity === "error") throw new StreamError(finding);
    }
  }

  /** Reads into the start of the buffer, or says that the image ends too early. */
  private take(fileOffset: number, bytes: number, record: string): Uint8Array {
    const got = readAt(this.fd, this.packed.region.address, bytes, fileOffset);
    if (got === bytes) return this.packed.region.bytes.subarray(0, bytes);
    const [expected, found] = [`${bytes} bytes`, `the end of the file after ${got}`];
    throw packError({ record, field: "bytes", at: fileOffset, expected, found });
  }

  private readIndex({ indexOffset, indexBytes, indexHash, frames }: Footer): DataView {
    const packed = new Uint8Array(indexBytes);
    const step = this.packed.region.length;
    for (let done = 0; done < indexBytes; done += step) {
      const part = Math.min(step, indexBytes - done);
      packed.set(this.take(indexOffset + done, part, "index"), done);
    }
    const found = Bun.hash.xxHash3(packed);
    const place = { record: "index", at: indexOffset } as const;
    if (found !== indexHash) {
      const values = { expected: hex(indexHash), found: hex(found) };
      throw packError({ ...place, field: "hash", ...values });
    }
    const index = inflate(packed, frames * INDEX_ROW_BYTES);
    if (index?.byteLength !== frames * INDEX_ROW_BYTES) {
      const expected = `${frames} rows of ${INDEX_ROW_BYTES} bytes`;
      throw packError({ ...place, field: "rows", expected, found: "something else" });
    }
    return new DataView(index.buffer, index.byteOffset, index.byteLength);
  }

  private checkIndex({ frames, indexOffset, originalBytes }: Footer): void {
    let start = 0;
    let next = PACK_HEADER_BYTES;
    for (let frame = 0; frame < frames; frame++) {
      const at = frame * INDEX_ROW_BYTES;
      const place = { layer: "pack", record: `index row ${frame}`, recordNumber: frame } as const;
      const [finding] = check(INDEX_ROW, this.index, at, { ...place, fileOffset: indexOffset });
      if (finding !== undefined) throw new StreamError(finding);
      const row = read(INDEX_ROW, this.index, at);
      if (row.file_offset !== BigInt(next)) {
        const values = { expected: hex(next), found: hex(row.file_offset) };
        const where = { record: place.record, field: "file_offset", at: indexOffset };
        throw packError({ ...where, ...values });
      }
      this.starts[frame] = start;
      start += row.original_bytes;
      next += row.packed_bytes;
    }
    this.starts[frames] = start;
    if (start === originalBytes && next === indexOffset) return;
    const expected = `frames of ${originalBytes} bytes in all, up to ${hex(indexOffset)}`;
    const found = `${start} bytes, up to ${hex(next)}`;
    throw packError({ record: "index", field: "rows", at: indexOffset, expected, found });
  }

  startOf(frame: number): number {
    return this.starts[frame]!;
  }

  /** The frame that holds the byte at `offset` of the original. */
  frameAt(offset: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low + 1 < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  /**
   * The original bytes of a frame, checked; good until the next call. The frames behind it are
   * uncompressed by other threads meanwhile.
   */
  async original(frame: number): Promise<Uint8Array> {
    const row = read(INDEX_ROW, this.index, frame * INDEX_ROW_BYTES);
    const last = Math.min(frame + FRAMES_AHEAD, this.starts.length - 2);
    for (let next = frame; next <= last; next++) {
      if (!this.ahead.has(next)) this.ahead.set(next, inflateAhead(this.packedFrame(next)));
    }
    const bytes = await this.ahead.get(frame);
    this.ahead.delete(frame);
    const content = this.openFrame(frame, bytes);
    const lender = (other: number): FrameContent | undefined => {
      return other < frame ? this.lender(other) : undefined;
    };
    const out = this.out.subarray(0, row.original_bytes);
    const wrong = replay(content, { out, lender });
    release(content);
    const found = wrong ?? hashText(out, row.hash);
    if (found === undefined) return out;
    const place = { record: `frame ${frame}`, at: Number(row.file_offset) };
    throw packError({ ...place, field: "data", expected: `hash ${hex(row.hash)}`, found });
  }

  /** Of another frame, kept for the next ones. */
  private lender(frame: number): FrameContent {
    const known = this.lenders.get(frame);
    const packed = known === undefined ? this.packedFrame(frame) : undefined;
    const content = known ?? this.openFrame(frame, inflate(packed!, CONTENT_BYTES_MAX));
    this.lenders.delete(frame); // The oldest stands first.
    this.lenders.set(frame, content);
    const [oldest] = this.lenders.keys();
    if (this.lenders.size > LENDERS_KEPT && oldest !== undefined) {
      release(this.lenders.get(oldest)!); // Its key has just been read.
      this.lenders.delete(oldest);
    }
    return content;
  }

  /** A frame as it stands in the image; good until something else is read. */
  private packedFrame(frame: number): Uint8Array {
    const row = read(INDEX_ROW, this.index, frame * INDEX_ROW_BYTES);
    // checkIndex() has seen that it is inside the file.
    return this.take(Number(row.file_offset), row.packed_bytes, `frame ${frame}`);
  }

  private openFrame(frame: number, bytes: Uint8Array | undefined): FrameContent {
    const at = Number(read(INDEX_ROW, this.index, frame * INDEX_ROW_BYTES).file_offset);
    const content = bytes === undefined ? undefined : openContent(bytes);
    if (content !== undefined) return content;
    const place = { record: `frame ${frame}`, field: "data", at };
    throw packError({ ...place, expected: "whole zstd data", found: "damaged data" });
  }

  [Symbol.dispose](): void {
    this.packed[Symbol.dispose]();
    this.fd[Symbol.dispose]();
  }
}

/** Gives the memory back now: the collector would let 100 MiB of such pile up. */
function release({ literals }: FrameContent): void {
  (literals.buffer as ArrayBuffer).transfer(0);
}

interface Footer {
  readonly originalBytes: number;
  readonly indexOffset: number;
  readonly indexBytes: number;
  readonly frames: number;
  readonly indexHash: bigint;
}

function hashText(original: Uint8Array, hash: bigint): string | undefined {
  const found = Bun.hash.xxHash3(original);
  return found === hash ? undefined : `hash ${hex(found)}`;
}

interface Wrong extends Pick<Finding, "record" | "field" | "expected" | "found"> {
  readonly at: number;
}

const packError = ({ at, ...what }: Wrong): StreamError =>
  new StreamError({
    ...what,
    layer: "pack",
    recordNumber: 0,
    fileOffset: at,
    severity: "error",
    strict: true,
  });
