// Squashing and comparing damaged streams: it works or it is refused, and never a bug of ours; what
// is written can be read to its end.

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import { diffPaths } from "../../helpers/diff-bytes.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { refusalOf, squashPath } from "../../helpers/squash-bytes.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { verifyBytes } from "../../helpers/verify-bytes.ts";

const CASES = 400;
const NAMES = Object.keys(VALID_PLANS).filter((name) => !name.includes("legacy"));
const WORDS = [0, 1, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
/** Contents of pages are of no interest: most damage goes elsewhere. */
const HEADS_BYTES = 2048;

test("random damage", async () => {
  using folder = temporaryFolder();
  const [path, whole] = [join(folder.path, "damaged"), join(folder.path, "whole")];
  const cases: { name: string; bytes: Uint8Array }[] = [];
  withSeed(20261121, (random) => {
    for (let nth = 0; nth < CASES; nth++) {
      const name = NAMES[random(NAMES.length)]!;
      const { bytes } = encode(VALID_PLANS[name]!());
      const view = new DataView(bytes.buffer);
      for (let damage = random(3); damage >= 0; damage--) {
        const limit = random(2) === 0 ? HEADS_BYTES : bytes.byteLength;
        const at = random(Math.min(limit, bytes.byteLength) - 4);
        view.setUint32(at, random(2) === 0 ? WORDS[random(WORDS.length)]! : random(2 ** 32), true);
      }
      cases.push({ name, bytes: bytes.subarray(0, bytes.byteLength - random(2) * random(300)) });
    }
  });
  let squashed = 0;
  for (const [nth, { name, bytes }] of cases.entries()) {
    writeFileSync(path, bytes);
    writeFileSync(whole, encode(VALID_PLANS[name]!()).bytes);
    const sink = new MemorySink();
    const refusal = await refusalOf(squashPath(path, sink, {}));
    const where = { nth, name, refusal };
    expect({ ...where, refusal }).toEqual({
      ...where,
      refusal: expect.stringMatching(/^(StreamError|RefusedError): |^it was done$/),
    });
    const compared = await refusalOf(
      nth % 2 === 0 ? diffPaths(path, whole) : diffPaths(whole, path),
    );
    expect({ ...where, compared }).toEqual({
      ...where,
      compared: expect.stringMatching(/^(StreamError|RefusedError): |^it was done$/),
    });
    if (refusal !== "it was done") continue;
    squashed++;
    const { kind, findings } = verifyBytes(sink.contents, {});
    const cut = findings.filter(({ found }) => found.includes("the end of the input"));
    expect({ ...where, kind, cut }).toEqual({ ...where, kind: "plain", cut: [] });
  }
  expect(squashed).toBeGreaterThan(CASES / 10);
}, 30_000);
