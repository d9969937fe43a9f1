// zstd with a bound: hostile data may claim to become anything. What a frame becomes stands in its
// header (RFC 8878, 3.1.1.1); it is believed only below the bound, and zstd keeps to it.

import { CONTENT_BYTES_MAX } from "./layout.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SINGLE_SEGMENT_MASK = 1 << 5;
const DICTIONARY_MASK = 3;
/** Sizes of the fields that follow the descriptor, by its bits. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const HEADER_BYTES_MAX = 18;

/** The data uncompressed; undefined where it is damaged, or larger than `bytesMax`. */
export function inflate(packed: Uint8Array, bytesMax: number): Uint8Array | undefined {
  if (!isWithin(packed, bytesMax)) return undefined;
  try {
    return Bun.zstdDecompressSync(packed);
  } catch {
    return undefined; // Whatever zstd says: the data is not what was packed.
  }
}

/** The same by another thread, for a frame; takes a copy of `packed` before it returns. */
export function inflateAhead(packed: Uint8Array): Promise<Uint8Array | undefined> {
  if (!isWithin(packed, CONTENT_BYTES_MAX)) return Promise.resolve(undefined);
  const copy = packed.slice();
  return Bun.zstdDecompress(copy)
    .catch(() => undefined)
    .finally(() => copy.buffer.transfer(0)); // Its memory goes back now, not when it is collected.
}

/** Whether a zstd frame says how large its content is, and that is at most `bytesMax`. */
function isWithin(packed: Uint8Array, bytesMax: number): boolean {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES_MAX)); // Zeros behind a short frame.
  new Uint8Array(header.buffer).set(packed.subarray(0, HEADER_BYTES_MAX));
  if (header.getUint32(0, true) !== FRAME_MAGIC) return false;
  const descriptor = header.getUint8(4);
  const isSingle = (descriptor & SINGLE_SEGMENT_MASK) !== 0;
  const dictionaryBytes = DICTIONARY_BYTES[(descriptor & DICTIONARY_MASK) as 0 | 1 | 2 | 3];
  const at = 5 + (isSingle ? 0 : 1) + dictionaryBytes;
  switch (descriptor >>> 6) {
    case 0:
      return isSingle && header.getUint8(at) <= bytesMax;
    case 1:
      return header.getUint16(at, true) + 256 <= bytesMax;
    case 2:
      return header.getUint32(at, true) <= bytesMax;
    default:
      return header.getBigUint64(at, true) <= BigInt(bytesMax);
  }
}
