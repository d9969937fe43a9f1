// A stream that is cut short: at every byte of the first 64 KiB, at the edges of every record of
// every kind of stream, and at random places. It ends where it was cut with one error that says so,
// unless a stream of its kind may end there.

import { describe, expect, test } from "bun:test";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { randomNumbers, withSeed } from "../../helpers/pieces.ts";
import { encode, type Encoded, type StreamPlan } from "../../helpers/stream-plan.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

const EVERY_BYTE = 64 * 1024;
const RANDOM_CUTS = 40;
const TO_ITS_END = "legacy HVM, QEMU to the end";

/** Where a stream may end: a channel that broke between checkpoints, a QEMU record not sent. */
function mayEndAt(name: string, plan: StreamPlan, { starts }: Encoded): ReadonlySet<number> {
  const ends = new Set<number>([starts.at(-1)!]);
  const wantsQemu = name.startsWith("xl,") || name.startsWith("suspend");
  for (const [index, record] of plan.records.entries()) {
    const isCheckpoint = record.name === "CHECKPOINT_END" || record.name === "CHECKPOINT_STATE";
    const isHvmEnd = record.layer === "legacy" && record.name === "HVM_CONTEXT";
    const isLibxcEnd = record.layer === "libxc" && record.name === "END";
    const isOld = name.startsWith("old");
    if (isCheckpoint || (isHvmEnd && !wantsQemu) || (isLibxcEnd && isOld)) {
      ends.add(starts[index + 1]!);
    }
  }
  return ends;
}

/** Undefined when all is well, else what is wrong with the report. */
function complaintOf(bytes: Uint8Array, cut: number, mayEnd: ReadonlySet<number>) {
  const report = verifyBytes(bytes.subarray(0, cut), {});
  const lines = findingLines(report);
  if (mayEnd.has(cut)) return lines.length === 0 ? undefined : { cut, lines };
  const last = lines.at(-1) ?? "none";
  const saysSo = /found the end of the input|is empty|only the first|bytes [0-9a-f]*$/.test(last);
  const isRight = report.verdict !== "good" && report.errors === 1 && report.warnings === 0;
  return isRight && saysSo && report.end_offset <= cut ? undefined : { cut, lines };
}

describe("a stream cut short", () => {
  test.each(["Remus, PV", "xl, HVM"])(
    "at every byte of the first 64 KiB: %s",
    (name) => {
      const plan = VALID_PLANS[name]!();
      const encoded = encode(plan);
      const mayEnd = mayEndAt(name, plan, encoded);
      const last = Math.min(EVERY_BYTE, encoded.bytes.byteLength);
      for (let cut = 0; cut < last; cut++) {
        expect(complaintOf(encoded.bytes, cut, mayEnd)).toBeUndefined();
      }
    },
    60_000,
  );

  test.each(Object.entries(VALID_PLANS))("at the edges of records: %s", (name, build) => {
    const plan = build();
    const encoded = encode(plan);
    const { bytes, starts, bodies } = encoded;
    const mayEnd = mayEndAt(name, plan, encoded);
    const complaints = [...starts, ...bodies].flatMap((edge) =>
      [-9, -1, 0, 1, 4, 7]
        .map((step) => edge + step)
        .filter((cut) => cut >= 0 && cut <= bytes.byteLength)
        .filter((cut) => name !== TO_ITS_END || cut <= starts.at(-2)!)
        .map((cut) => complaintOf(bytes, cut, mayEnd)),
    );
    expect(complaints.filter((complaint) => complaint !== undefined)).toEqual([]);
  });

  test("at random places", () => {
    withSeed(20260801, (random) => {
      for (const [name, build] of Object.entries(VALID_PLANS)) {
        if (name === TO_ITS_END) continue;
        const plan = build();
        const encoded = encode(plan);
        const mayEnd = mayEndAt(name, plan, encoded);
        for (let round = 0; round < RANDOM_CUTS; round++) {
          const cut = random(encoded.bytes.byteLength);
          expect({ name, found: complaintOf(encoded.bytes, cut, mayEnd) }).toEqual({
            name,
            found: undefined,
          });
        }
      }
    });
  });

  test("the pieces of a large body that is cut are whole steps", () => {
    // A p2m list of 1.5 MiB, cut behind 1.25 MiB and 3 bytes: nobody looks at the row that is cut.
    const random = randomNumbers(7);
    const plan = VALID_PLANS["libxc version 3, PV 64"]!();
    const frames = plan.records.find(({ name }) => name === "X86_PV_P2M_FRAMES")!;
    const entries = (3 * 512 * 1024) / 8;
    frames.body = new Uint8Array(8 + entries * 8);
    const view = new DataView(frames.body.buffer);
    view.setUint32(4, entries * 512 - 1, true);
    for (let at = 8; at < frames.body.byteLength; at += 8) view.setUint32(at, random(4096), true);
    const { bytes, bodies } = encode(plan);
    const cut = bodies[plan.records.indexOf(frames)]! + 1.25 * 2 ** 20 + 3;
    expect(findingLines(verifyBytes(bytes.subarray(0, cut), {}))).toEqual([
      `error libxc X86_PV_P2M_FRAMES.body at 0x${cut.toString(16)}: expected 1572872 bytes, ` +
        "found the end of the input after 1310723 bytes",
    ]);
  });
});
