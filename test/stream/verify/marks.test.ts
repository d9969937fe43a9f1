// A verification that is gone on with at any edge between two records says what one that was never
// interrupted says.

import { expect, test } from "bun:test";
import * as v from "valibot";
import { MemorySource, type Source } from "../../../lib/bytes/index.ts";
import {
  type VerifyMark,
  VerifyMarkSchema,
  type VerifyReport,
  verifyStream,
} from "../../../lib/stream/verify/index.ts";
import { randomOf } from "../../fuzz/random.ts";
import { randomStream } from "../../helpers/random-streams.ts";
import { recordEdges } from "../../helpers/record-edges.ts";
import { encode } from "../../helpers/stream-plan.ts";

const OPTIONS = { format: undefined, compression: undefined, limit: 20, onProgress() {} };

interface Mark {
  readonly position: number;
  readonly text: string;
}

function marksOf(bytes: Uint8Array): { readonly report: VerifyReport; readonly marks: Mark[] } {
  const source = new MemorySource("stream", bytes);
  const marks: Mark[] = [];
  const onSeam = (mark: () => VerifyMark): void =>
    void marks.push({ position: source.position, text: JSON.stringify(mark()) });
  const report = verifyStream(source, { ...OPTIONS, listener: {}, onSeam });
  return { report, marks };
}

function goOn(bytes: Uint8Array, { position, text }: Mark): VerifyReport {
  const source: Source = new MemorySource("stream", bytes);
  source.skip(position);
  const from = v.parse(VerifyMarkSchema, JSON.parse(text));
  return verifyStream(source, { ...OPTIONS, listener: {}, from });
}

/** A bit here and there, also where it does no harm. */
function damaged(bytes: Uint8Array, seed: number): Uint8Array {
  const random = randomOf(seed);
  const copy = bytes.slice();
  for (let flip = 0; flip < 3; flip++) copy[random(copy.length)]! ^= 1 << random(8);
  return copy;
}

test("at every edge of streams of every shape, good and damaged", () => {
  let count = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const guest = seed % 2 === 0 ? "pv" : "hvm";
    const framing = seed % 3 === 0 ? "libxl" : "xl";
    const checkpoints = seed % 4;
    const isColo = checkpoints > 0 && seed % 5 === 0;
    const options = { guest, framing, checkpoints, isColo, version: 3 } as const;
    const good = encode(randomStream(randomOf(seed), options)).bytes;
    const { marks } = marksOf(good);
    const places = new Set(marks.map(({ position }) => position));
    const edges = recordEdges(good).slice(0, -1);
    expect(edges.filter(({ offset }) => !places.has(offset))).toEqual([]);
    for (const bytes of [good, damaged(good, seed), good.subarray(0, good.length - 9)]) {
      const known = marksOf(bytes);
      for (const mark of known.marks) {
        count++;
        expect({ mark: mark.position, report: goOn(bytes, mark) }).toEqual({
          mark: mark.position,
          report: known.report,
        });
      }
    }
  }
  expect(count).toBeGreaterThan(500);
}, 60_000);
