// Where a save helper's share of a stream stands: the libxc parts, and libxl's records between and
// behind them.

import { MemorySource } from "../../lib/bytes/index.ts";
import { verifyStream } from "../../lib/stream/index.ts";

export interface LibxcParts {
  /** Offset of the libxc image header. */
  readonly start: number;
  /** Sizes in turn: libxc's part, libxl's records behind it, libxc's part ... */
  readonly libxc: readonly number[];
  readonly libxl: readonly number[];
}

export function libxcPartsOf(bytes: Uint8Array): LibxcParts {
  let start = 0;
  const edges: number[] = []; // Ends of libxc's and of libxl's parts by turns.
  verifyStream(new MemorySource("stream", bytes), {
    format: undefined,
    compression: undefined,
    limit: 1,
    onProgress() {},
    listener: {
      header({ record, fileOffset }) {
        if (record === "image_header") start = fileOffset;
      },
      record({ layer, record, bodyOffset }) {
        const isLast = layer === "libxc" && (record === "END" || record === "CHECKPOINT");
        if (isLast || (layer === "libxl" && record === "CHECKPOINT_END")) edges.push(bodyOffset);
      },
    },
  });
  if (edges.length % 2 === 1) edges.push(bytes.byteLength);
  const sizes = edges.map((edge, index) => edge - (index === 0 ? start : edges[index - 1]!));
  return {
    start,
    libxc: sizes.filter((_, index) => index % 2 === 0),
    libxl: sizes.filter((_, index) => index % 2 === 1),
  };
}
