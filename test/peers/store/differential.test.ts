// The same random operations sent to the C xenstore daemon of Xen 4.20 and to ours: every reply and
// every event the same, in the same order on each connection. SEED=... plays one sequence again.

import { describe, expect, test } from "bun:test";
import { randomOf, seedOfCase } from "../../fuzz/random.ts";
import { HAS_PEERS, peerTitle, startPeer } from "../../helpers/store-peers.ts";
import { OP } from "../../helpers/store-wire.ts";
import { serveFromSource } from "../../helpers/store-serve.ts";
import { findDifference, type Pair, report, shorten } from "./differ.ts";
import { drawSteps, type Step } from "./steps.ts";

const SEQUENCES = 50;
const STEPS = 200;
const SEED = process.env.SEED;

/** What a sequence shows, in few steps; an empty text where there is no difference. */
function judge(pair: Pair, seed: number): string {
  const steps = drawSteps(randomOf(seed), STEPS);
  const found = findDifference(pair, steps);
  if (found === undefined) return "";
  const short = shorten(pair, steps, found);
  return `SEED=${seed}\n${report(short, findDifference(pair, short) ?? found)}`;
}

describe("the same operations", () => {
  test.skipIf(!HAS_PEERS)(
    peerTitle("are answered by ours as by the C daemon"),
    () => {
      using ours = serveFromSource();
      using peer = startPeer("c-4.20");
      const run = Math.floor(Math.random() * 2 ** 32);
      const seeds = Array.from({ length: SEQUENCES }, (_, index) => seedOfCase(run, index));
      for (const seed of SEED === undefined ? seeds : [Number(SEED)]) {
        expect(judge([ours, peer], seed)).toBe("");
      }
    },
    120_000,
  );

  test.skipIf(!HAS_PEERS)(
    peerTitle("show no difference between two of one kind"),
    () => {
      using one = startPeer("c-4.20");
      using other = startPeer("c-4.20");
      for (let seed = 1; seed <= 5; seed++) expect(judge([one, other], seed)).toBe("");
    },
    120_000,
  );

  test.skipIf(!HAS_PEERS)(
    peerTitle("show a known difference between two versions, in one step"),
    () => {
      using old = startPeer("c-4.17");
      using recent = startPeer("c-4.20");
      const steps = Array.from({ length: 60 }, (_, index): Step => {
        const [op, body] = index === 41 ? [OP.CONTROL, "quota\0max\0"] : [OP.MKDIR, `/d${index}\0`];
        return { kind: "ask", actor: `s${index % 4}`, op, slot: 0, body };
      });
      const found = findDifference([old, recent], steps)!;
      expect(found).toMatchObject({ step: 41, actor: "s1" });
      expect(found.ours).toStartWith('CONTROL #11 "Domain 0:');
      expect(found.peer).toStartWith('CONTROL #11 "Max. seen accounting values:');
      expect(shorten([old, recent], steps, found)).toEqual([steps[41]!]);
    },
    120_000,
  );
});
