// agent expand: uncompresses standard input to standard output. A process of its own for verify and
// others, so that they can read compressed streams like any pipe, with bounded memory.

import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import * as v from "valibot";
import { EXPAND_STATUS, zstdFrames } from "../../../lib/stream/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.picklist(["zstd", "gzip"], "wanted zstd or gzip")], "wanted zstd or gzip"),
  prefix: v.optional(v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/, "wanted hex")), ""),
});

const CHUNK_BYTES = 256 * 1024;
/** What is expanded at once: with the usual 16 KiB it takes nearly three times as long. */
const OUTPUT_OPTIONS = { chunkSize: 1024 * 1024 };

export async function run({ argv, spec }: Invocation): Promise<number> {
  const {
    _: [kind],
    prefix,
  } = parseOptions(Options, spec, argv);
  const expander =
    kind === "zstd" ? createZstdDecompress(OUTPUT_OPTIONS) : createGunzip(OUTPUT_OPTIONS);
  const frames = kind === "zstd" ? zstdFrames() : undefined;
  const already = Uint8Array.fromHex(prefix);
  frames?.feed(already);
  if (already.byteLength > 0) expander.write(already);
  const input = createReadStream("", { fd: 0, highWaterMark: CHUNK_BYTES });
  const output = createWriteStream("", { fd: 1, highWaterMark: CHUNK_BYTES });
  async function* lookedAt(pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      frames?.feed(piece);
      yield piece;
    }
  }
  try {
    await pipeline(input, lookedAt, expander, output);
    return frames?.isWhole() === false ? EXPAND_STATUS.damaged : EXPAND_STATUS.done;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "EPIPE") return EXPAND_STATUS.done; // The reader has seen enough.
    const isAboutData =
      code.startsWith("Z_") || code.startsWith("ZSTD_") || code.startsWith("ERR_");
    return isAboutData ? EXPAND_STATUS.damaged : EXIT.failed;
  }
}
