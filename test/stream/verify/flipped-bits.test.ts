// Every bit of every header, flipped one at a time: nothing breaks, whatever is found lies in the
// input, and what is not noticed is what nobody could.

import { describe, expect, test } from "bun:test";
import { MemorySource } from "../../../lib/bytes/index.ts";
import { checkReport, verifyForFuzz } from "../../fuzz/check-report.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";

/** Of a body: more than any head or first row has. */
const HEAD_BYTES_MAX = 48;
const RANDOM_FLIPS = 60;
/** What makes another whole stream of one that nothing is wrong with. */
const UNNOTICED = [
  "libxc version 3, PV 64: X86_PV_VCPU_XSAVE length, bit 5", // The MSRs are part of it then.
  "libxc version 3, PV 64: X86_PV_VCPU_MSRS type, bit 2", // A second X86_TSC_INFO, of that size.
  // QEMU's state has no length of its own: fewer or more of the zeros that it ends with.
  "libxl, HVM: EMULATOR_CONTEXT length, bit 0",
  "libxl, HVM: EMULATOR_CONTEXT length, bit 1",
  "libxl, HVM: EMULATOR_CONTEXT length, bit 2",
  "Remus, HVM: EMULATOR_CONTEXT length, bit 1",
  "Remus, HVM: EMULATOR_CONTEXT length, bit 2",
];

function verdictOf(bytes: Uint8Array): string {
  const options = { bytesTotal: bytes.byteLength, format: undefined };
  const report = verifyForFuzz(new MemorySource("flipped", bytes), options);
  checkReport(report, bytes.byteLength);
  return report.warnings > 0 && report.verdict === "good" ? "warned" : report.verdict;
}

/** Flips one bit, and flips it back. */
function withFlipped(bytes: Uint8Array, at: number, bit: number): string {
  bytes[at]! ^= 1 << bit;
  const verdict = verdictOf(bytes);
  bytes[at]! ^= 1 << bit;
  return verdict;
}

describe("a bit flipped in a header", () => {
  test.each(["xl, HVM", "Remus, PV", "suspend image, HVM", "xl, legacy PV", "legacy HVM, tool 32"])(
    "%s",
    (name) => {
      const plan = VALID_PLANS[name]!();
      const { bytes, starts, bodies } = encode(plan);
      const counts: Record<string, number> = {};
      for (const [index, record] of plan.records.entries()) {
        const headBytes = Math.min(HEAD_BYTES_MAX, record.body.byteLength);
        for (let at = starts[index]!; at < bodies[index]! + headBytes; at++) {
          for (let bit = 0; bit < 8; bit++) {
            const verdict = withFlipped(bytes, at, bit);
            counts[verdict] = (counts[verdict] ?? 0) + 1;
          }
        }
      }
      expect(counts.bad).toBeGreaterThan(counts.warned ?? 0);
      expect(verdictOf(bytes)).toBe("good");
    },
    60_000,
  );

  test("of a record's type or length is noticed, but where another stream results", () => {
    const unnoticed = new Set<string>();
    for (const name of ["libxc version 3, PV 64", "libxl, HVM", "Remus, HVM"]) {
      const plan = VALID_PLANS[name]!();
      const { bytes, starts } = encode(plan);
      for (const [index, record] of plan.records.entries()) {
        if (record.framing !== "record") continue;
        for (let bit = 0; bit < 64; bit++) {
          const verdict = withFlipped(bytes, starts[index]! + Math.floor(bit / 8), bit % 8);
          const what = bit < 32 ? `type, bit ${bit}` : `length, bit ${bit - 32}`;
          if (verdict === "good") unnoticed.add(`${name}: ${record.name} ${what}`);
        }
      }
    }
    expect([...unnoticed]).toEqual(UNNOTICED);
  });
});

test("a bit flipped anywhere", () => {
  withSeed(4711, (random) => {
    for (const build of Object.values(VALID_PLANS)) {
      const { bytes } = encode(build());
      for (let flips = 0; flips < RANDOM_FLIPS; flips++) {
        withFlipped(bytes, random(bytes.byteLength), random(8));
      }
    }
  });
});
