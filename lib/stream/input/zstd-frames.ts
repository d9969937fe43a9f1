// Whether zstd data ends where a frame does (RFC 8878, section 3). The decompressor does not tell:
// cut data, even the magic number alone, ends there like whole data.
//
//   frame      := u32 0xfd2fb528, descriptor, [window], [dictionary id], [content size], blocks,
//                 [checksum]
//   block      := u24 header {bit 0: the last one, bits 1..2: type, the rest: size}, content
//   skippable  := u32 0x184d2a50 to 0x184d2a5f, u32 size, so many bytes

const FRAME_MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;
const WORD_BYTES_MAX = 4;

export interface ZstdFrames {
  /** The next bytes of the data. */
  feed(piece: Uint8Array): void;
  /** No bytes so far, or the last frame is whole, whatever stands behind it. */
  isWhole(): boolean;
}

type Part = "magic" | "skippable_size" | "descriptor" | "block";

const PART_BYTES: Readonly<Record<Part, number>> = {
  magic: 4,
  skippable_size: 4,
  descriptor: 1,
  block: 3,
};

interface State {
  /** What the next bytes say, once they are all there. */
  part: Part;
  readonly word: DataView;
  wordBytes: number;
  /** Bytes to be passed over first. */
  skipBytes: number;
  hasChecksum: boolean;
}

export function zstdFrames(): ZstdFrames {
  const word = new DataView(new ArrayBuffer(WORD_BYTES_MAX));
  const state: State = { part: "magic", word, wordBytes: 0, skipBytes: 0, hasChecksum: false };
  return {
    feed: (piece) => feed(state, piece),
    isWhole: () => {
      const { part, wordBytes, skipBytes } = state;
      return part === "magic" && wordBytes === 0 && (skipBytes === 0 || skipBytes === Infinity);
    },
  };
}

function feed(state: State, piece: Uint8Array): void {
  for (let at = 0; at < piece.byteLength;) {
    if (state.skipBytes > 0) {
      const step = Math.min(state.skipBytes, piece.byteLength - at);
      state.skipBytes -= step;
      at += step;
      continue;
    }
    state.word.setUint8(state.wordBytes++, piece[at++]!);
    if (state.wordBytes === PART_BYTES[state.part]) endPart(state);
  }
}

function endPart(state: State): void {
  const { word } = state;
  state.wordBytes = 0;
  switch (state.part) {
    case "magic": {
      const magic = word.getUint32(0, true);
      if (magic === FRAME_MAGIC) state.part = "descriptor";
      else if (magic - (magic % 16) === SKIPPABLE_MAGIC) state.part = "skippable_size";
      // Not compressed data any more, as behind an image on a disk: the decompressor ends here too.
      else state.skipBytes = Infinity;
      return;
    }
    case "skippable_size":
      state.skipBytes = word.getUint32(0, true);
      state.part = "magic";
      return;
    case "descriptor":
      endDescriptor(state, word.getUint8(0));
      return;
    case "block":
      endBlockHeader(state, word.getUint16(0, true) + word.getUint8(2) * 0x1_0000);
  }
}

function endDescriptor(state: State, descriptor: number): void {
  const sizeFlag = descriptor >>> 6;
  const isSingle = (descriptor & 0x20) !== 0;
  state.hasChecksum = (descriptor & 0x04) !== 0;
  const sizeBytes = sizeFlag === 0 && isSingle ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!;
  state.skipBytes = (isSingle ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + sizeBytes;
  state.part = "block";
}

function endBlockHeader(state: State, header: number): void {
  const isLast = (header & 1) !== 0;
  const type = (header >>> 1) & 3;
  state.skipBytes = type === RLE_BLOCK ? 1 : header >>> 3;
  if (!isLast) return;
  if (state.hasChecksum) state.skipBytes += CHECKSUM_BYTES;
  state.part = "magic";
}
