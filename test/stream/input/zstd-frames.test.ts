// Where zstd data is whole: behind each frame, and nowhere else.

import { describe, expect, test } from "bun:test";
import { constants, zstdCompressSync } from "node:zlib";
import { zstdFrames } from "../../../lib/stream/input/index.ts";
import { feedPieces, randomNumbers } from "../../helpers/pieces.ts";
import { filled, join } from "../../helpers/stream-plan.ts";
import { noise } from "./compare.ts";

const random = randomNumbers(8878);
const compress = (bytes: Uint8Array, hasChecksum = false): Uint8Array =>
  new Uint8Array(
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_checksumFlag]: hasChecksum ? 1 : 0 },
    }),
  );
/** 16 bytes that no reader of the content sees. */
const SKIPPABLE = Uint8Array.fromHex(`5e2a4d1810000000${"ab".repeat(16)}`);
/** Without a content size, as a stream is compressed: one raw block of 3 bytes, then none. */
const STREAMED = Uint8Array.fromHex("28b52ffd0058180000616263010000");

const FRAMES: Readonly<Record<string, readonly Uint8Array[]>> = {
  "of nothing": [compress(filled(0, 0))],
  "of one byte": [compress(filled(1, 7))],
  "of 300 bytes": [compress(noise(300, random))],
  "of 300 bytes with a checksum": [compress(noise(300, random), true)],
  "of zeros: run-length blocks": [compress(filled(500_000, 0))],
  "of 300000 bytes that do not compress": [compress(noise(300_000, random), true)],
  "without a content size": [STREAMED],
  "in three frames, one of them skippable": [
    compress(noise(50, random)),
    SKIPPABLE,
    compress(noise(70, random), true),
  ],
};

describe("zstd data", () => {
  test.each(Object.entries(FRAMES))("%s", (_, parts) => {
    const data = join(...parts);
    const ends = new Set([0]);
    for (const part of parts) ends.add(Math.max(...ends) + part.byteLength);
    const step = data.byteLength > 5000 ? 997 : 1;
    const cuts = [...Array(Math.ceil(data.byteLength / step)).keys()].map((index) => index * step);
    for (const cut of [...cuts, data.byteLength - 1, data.byteLength]) {
      for (const pieceBytes of [1 + random(50), data.byteLength]) {
        const frames = zstdFrames();
        feedPieces(frames.feed, data.subarray(0, cut), pieceBytes);
        expect({ cut, isWhole: frames.isWhole() }).toEqual({ cut, isWhole: ends.has(cut) });
      }
    }
  });

  test("of noise is looked at without a fault", () => {
    for (let round = 0; round < 200; round++) {
      const data = join(compress(noise(40, random)).subarray(0, 9), noise(random(400), random));
      const frames = zstdFrames();
      feedPieces(frames.feed, data, 1 + random(60));
      expect(typeof frames.isWhole()).toBe("boolean");
    }
  });
});
