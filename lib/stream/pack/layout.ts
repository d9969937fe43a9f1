// A packed image: any saved image, small, and given back as the same bytes from any offset.
//
//    0  PACK_HEADER    24 bytes
//   24  frames         a zstd frame each, independent of each other but for pages they borrow
//       index          one zstd frame: INDEX_ROW a frame, in order
//       PACK_FOOTER    48 bytes, the last of the file: where the index is, and its hash
//
// A frame stands for at most FRAME_BYTES of the original. Uncompressed it is u32 count, count steps
// of a u32 (kind in bits 31..30, argument below; BORROWED has a second u32), then literal bytes:
//
//   kind  argument
//   0     LITERAL    so many bytes of the literals, in turn
//   1     ZERO       so many zero pages
//   2     REPEATED   the page at that offset of this frame's literals
//   3     BORROWED   the page at the offset in the next u32 of the literals of that frame, earlier
//
// Hashes are xxHash3, 64 bit: against damage, not against forgery.

import { assert } from "../../base/index.ts";
import { any, between, exactly, reserved, sizeOf, u32, u64, u64be } from "../../bytes/index.ts";

/** "AGENTPAK" */
export const PACK_MAGIC = 0x4147454e5450414bn;
export const FRAME_BYTES = 1024 * 1024;
export const PAGE_BYTES = 4096;

export const PACK_HEADER = {
  magic: exactly(u64be, PACK_MAGIC),
  version: exactly(u32, 1),
  frame_bytes: exactly(u32, FRAME_BYTES),
  reserved: reserved(u64),
};
export const PACK_HEADER_BYTES = sizeOf(PACK_HEADER);
assert(PACK_HEADER_BYTES === 24, "the header of a packed image is 24 bytes");

/** The uncompressed frame: its original bytes as literals, and a step for every page at most. */
export const CONTENT_BYTES_MAX = FRAME_BYTES + 4 + 8 * (FRAME_BYTES / PAGE_BYTES + 2) * 2;
/** zstd's worst case: it stores what it cannot press, with a few bytes a block. */
export const PACKED_FRAME_BYTES_MAX = CONTENT_BYTES_MAX + (CONTENT_BYTES_MAX >>> 7) + 512;

export const INDEX_ROW = {
  file_offset: any(u64, "where the frame stands in the packed image"),
  packed_bytes: between(u32, 1, PACKED_FRAME_BYTES_MAX),
  original_bytes: between(u32, 1, FRAME_BYTES),
  hash: any(u64, "xxHash3 of the original bytes"),
};
export const INDEX_ROW_BYTES = sizeOf(INDEX_ROW);

export const PACK_FOOTER = {
  original_bytes: any(u64),
  index_offset: any(u64),
  index_bytes: any(u32),
  frames: any(u32),
  index_hash: any(u64, "xxHash3 of the index as it stands"),
  reserved: reserved(u64),
  magic: exactly(u64be, PACK_MAGIC),
};
export const PACK_FOOTER_BYTES = sizeOf(PACK_FOOTER);
assert(PACK_FOOTER_BYTES === 48, "the footer of a packed image is 48 bytes");

/** 64 TiB of guest: an index of more rows than this is not read. */
export const FRAMES_MAX = 2 ** 26;

export const STEP = { literal: 0, zero: 1, repeated: 2, borrowed: 3 } as const;
export const STEP_KIND_SHIFT = 30;
export const STEP_ARGUMENT_MASK = 2 ** STEP_KIND_SHIFT - 1;

/** A frame borrows from at most so many others, so that giving back one never unpacks many. */
export const LENDERS_MAX = 8;
