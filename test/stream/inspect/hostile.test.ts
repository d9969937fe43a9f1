// Hostile streams: cut anywhere, with any bit flipped. Inspect gives a report that keeps its schema
// and its sums, and finds no fault where verify finds none.

import { describe, expect, test } from "bun:test";
import { renderInspectReport } from "../../../agent/ui/inspect-report.ts";
import { inspectBytes } from "../../helpers/inspect-bytes.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { verifyBytes } from "../../helpers/verify-bytes.ts";

const STYLE = { columns: 80, coloured: false, unicode: false };
const RANDOM_CUTS = 6;
const RANDOM_FLIPS = 40;
const OPTIONS = { contents: true, record: 3, pages: { first: 0, last: 3 } };

/** Inspects what is there, prints it, and compares with verify. */
function look(bytes: Uint8Array): void {
  const report = inspectBytes(bytes, OPTIONS);
  expect(report.end_offset).toBeLessThanOrEqual(bytes.byteLength);
  renderInspectReport(report, STYLE, undefined);
  const { verdict, end_offset: end } = verifyBytes(bytes, {});
  expect(report.end_offset).toBe(end);
  if (verdict !== "good") return;
  expect({ complete: report.complete, errors: report.errors }).toEqual({
    complete: true,
    errors: 0,
  });
}

describe("through inspect as through verify", () => {
  test.each(Object.entries(VALID_PLANS))("whole, cut and flipped: %s", (_, build) => {
    const { bytes, starts, bodies } = encode(build());
    look(bytes);
    withSeed(20261121, (random) => {
      const edges = [...starts, ...bodies].filter(() => random(4) === 0);
      const cuts = Array.from({ length: RANDOM_CUTS }, () => random(bytes.byteLength));
      for (const cut of [...edges, ...cuts]) look(bytes.subarray(0, cut));
      for (let flips = 0; flips < RANDOM_FLIPS; flips++) {
        // Half of them in a record's header or the first fields of its body.
        const start = starts[random(starts.length - 1)]!;
        const at = random(2) === 0 ? random(bytes.byteLength) : start + random(24);
        if (at >= bytes.byteLength) continue;
        const bit = 1 << random(8);
        bytes[at]! ^= bit;
        look(bytes);
        bytes[at]! ^= bit;
      }
    });
  });

  test("at every byte of the first 4 KiB", () => {
    const { bytes } = encode(VALID_PLANS["xl, HVM"]!());
    for (let cut = 0; cut < 4096; cut += 3) look(bytes.subarray(0, cut));
  }, 30_000);

  test("random bytes behind valid headers", () => {
    withSeed(5, (random) => {
      for (const name of ["xl, HVM", "libxc version 3, PV 64", "suspend image, HVM"]) {
        const { bytes, starts } = encode(VALID_PLANS[name]!());
        for (let round = 0; round < 20; round++) {
          const noisy = bytes.slice();
          const from = starts[3 + random(starts.length - 4)]!;
          for (let at = from; at < noisy.byteLength; at++) noisy[at] = random(256);
          look(noisy);
        }
      }
    });
  });
});
