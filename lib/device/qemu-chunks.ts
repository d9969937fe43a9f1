// QEMU's framing of a device state inside its migration stream (vhost_save_backend_state): chunks
// of a length, u32 big endian and at most 1 MiB, and so many bytes; a length of 0 ends them.

import type { StateBytes } from "./state-bytes.ts";

const LENGTH_BYTES = 4;
const CHUNK_BYTES_MAX = 1024 * 1024;
/** QEMU fills all but the last: 64 GiB of state. More is something else that looks like it. */
const CHUNKS_MAX = 64 * 1024;

/** A chunk's bytes. */
export interface Chunk {
  readonly at: number;
  readonly bytes: number;
}

/** The chunks, if the bytes are such a framing from their first to their last byte. */
export function chunksOf(state: StateBytes): Chunk[] | undefined {
  const chunks: Chunk[] = [];
  for (let at = 0; at + LENGTH_BYTES <= state.bytes;) {
    const bytes = state.view(at, LENGTH_BYTES).getUint32(0);
    at += LENGTH_BYTES;
    if (bytes === 0) return at === state.bytes && chunks.length > 0 ? chunks : undefined;
    if (bytes > CHUNK_BYTES_MAX || at + bytes > state.bytes) return undefined;
    if (chunks.length === CHUNKS_MAX) return undefined;
    chunks.push({ at, bytes });
    at += bytes;
  }
  return undefined;
}
