// Squashing what real toolstacks sent, against a slow model of its own: the pages and states of
// every checkpoint, wherever the capture is cut; and Xen's own verifier on everything written.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { CrcSink } from "../../helpers/crc-sink.ts";
import { finalState } from "../../helpers/final-state.ts";
import { recordEdges } from "../../helpers/record-edges.ts";
import { REFERENCE_TOOL, referenceVerdict } from "../../helpers/reference-verifier.ts";
import { refusalOf, squashPath } from "../../helpers/squash-bytes.ts";
import { verifyBytes } from "../../helpers/verify-bytes.ts";

setDefaultTimeout(60_000); // Much is written to disk, which other tests may keep busy.

/** The reference verifier has a defect: it refuses xenstore data that is not empty. */
const REFERENCE_REFUSES = "hvm40-physmap.xl-save";
const PLAIN = ["pv32.xl-save", "pv48-2.xl-save", "pvh48.xl-save", REFERENCE_REFUSES];
const REMUS = capturePath("pv32.remus.to-receiver");
const MIGRATE = capturePath("pv32.migrate.to-receiver");

async function summaryOf(path: string, options: { readonly at?: number; readonly cut?: number }) {
  using sink = new CrcSink();
  const report = await squashPath(path, sink, options);
  return { report, summary: sink.summary };
}

async function bytesOf(path: string, options: { readonly at?: number }): Promise<Uint8Array> {
  const sink = new MemorySink();
  await squashPath(path, sink, options);
  return sink.contents;
}

function expectValid(bytes: Uint8Array): void {
  const { verdict, errors, warnings, kind } = verifyBytes(bytes, {});
  expect({ verdict, errors, warnings, kind }).toEqual({
    verdict: "good",
    errors: 0,
    warnings: 0,
    kind: "plain",
  });
  if (REFERENCE_TOOL !== undefined) expect(referenceVerdict(bytes, "xl")).toBe("accepted");
}

describe.each(PLAIN)("%s", (name) => {
  const path = capturePath(name);
  test.skipIf(path === undefined)(captureTitle("comes out as it went in", path), async () => {
    const sink = new MemorySink();
    const report = await squashPath(path!, sink, {});
    expect(Buffer.compare(sink.contents, readFileSync(path!))).toBe(0);
    expect(report.pages.kept).toBe(report.pages.sent);
    if (name !== REFERENCE_REFUSES) expectValid(sink.contents);
  });
});

describe("a live migration", () => {
  test.skipIf(MIGRATE === undefined)(captureTitle("gives its last pages", MIGRATE), async () => {
    const bytes = await bytesOf(MIGRATE!, {});
    const wanted = finalState(readFileSync(MIGRATE!), undefined);
    const found = finalState(bytes, undefined);
    expect(found.pages).toEqual(wanted.pages);
    expect(found.records).toEqual(wanted.records);
    expect(found.sent).toBe(wanted.pages.size);
    expectValid(bytes);
  });
});

describe("a Remus stream", () => {
  test.skipIf(REMUS === undefined)(
    captureTitle("gives the state of every checkpoint", REMUS),
    async () => {
      const input = readFileSync(REMUS!);
      for (let at = 1; at <= 8; at++) {
        const bytes = await bytesOf(REMUS!, { at });
        const wanted = finalState(input, at);
        const found = finalState(bytes, undefined);
        expect(found.pages).toEqual(wanted.pages);
        expect(found.records).toEqual(wanted.records);
        expect(found.sent).toBe(wanted.pages.size);
        expectValid(bytes);
      }
    },
    30_000,
  );

  test.skipIf(REMUS === undefined)(
    captureTitle("cut anywhere gives its last complete checkpoint", REMUS),
    async () => {
      const edges = recordEdges(readFileSync(REMUS!));
      const wholes: string[] = [];
      for (let at = 1; at <= 8; at++) wholes.push((await summaryOf(REMUS!, { at })).summary);
      for (const [index, { offset, checkpoints }] of edges.entries()) {
        const next = edges[index + 1]?.offset ?? offset + 1;
        const between = Math.floor((offset + next) / 2);
        for (const cut of new Set([offset, Math.min(offset + 5, next - 1), between])) {
          if (checkpoints === 0) {
            const refusal = await refusalOf(summaryOf(REMUS!, { cut }));
            expect(refusal).toMatch(/^StreamError: .* found the end of the input/);
            continue;
          }
          const { report, summary } = await summaryOf(REMUS!, { cut });
          expect({ cut, summary }).toEqual({ cut, summary: wholes[checkpoints - 1]! });
          expect(report.checkpoint).toBe(checkpoints);
          expect(report.end_offset + report.dropped_bytes).toBeLessThanOrEqual(cut);
        }
      }
    },
    60_000,
  );

  test.skipIf(REMUS === undefined)(captureTitle("has no ninth checkpoint", REMUS), async () => {
    expect(await refusalOf(summaryOf(REMUS!, { at: 9 }))).toBe(
      `RefusedError: Cannot squash "${REMUS}" at checkpoint 9: it has 8 complete checkpoints`,
    );
  });
});
