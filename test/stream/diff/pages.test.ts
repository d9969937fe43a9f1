// Pages of two streams, compared: against a slow model for random streams, and what squashing must
// not change.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import type { DiffReport } from "../../../lib/stream/diff/index.ts";
import { PAGE_TYPES } from "../../../lib/stream/libxc/index.ts";
import { PAGE_PFNS, SPARE_PAGES } from "../../../lib/stream/page-index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { diffBytes, diffPaths, diffPlans } from "../../helpers/diff-bytes.ts";
import { finalState, type FinalState } from "../../helpers/final-state.ts";
import { randomNumbers } from "../../helpers/pieces.ts";
import { entriesOf, randomStream, variedBatch } from "../../helpers/random-streams.ts";
import { refusalOf, squashBytes, squashPath } from "../../helpers/squash-bytes.ts";
import { checkpointedPlan, HVM, libxcRecords, PV64, xlPlan } from "../../helpers/stream-builder.ts";
import { encode, insertAfter, insertBefore, type StreamPlan } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

setDefaultTimeout(60_000); // Much is written to disk, which other tests may keep busy.

const HOLE = 0xf;
const NAMES = ["a", "b", "same", "changed", "retyped", "added", "gone"] as const;
type Counts = Record<(typeof NAMES)[number], number>;

const none = (): Counts => ({ a: 0, b: 0, same: 0, changed: 0, retyped: 0, added: 0, gone: 0 });

/** What a report must say, by the model. */
function wantedCounts(a: FinalState, b: FinalState) {
  const all = none();
  const types = new Map<string, Counts>();
  const add = (type: number, name: keyof Counts) => {
    const row = types.get(PAGE_TYPES[type]!.name) ?? none();
    types.set(PAGE_TYPES[type]!.name, row);
    row[name]++;
    all[name]++;
  };
  for (const pfn of new Set([...a.pages.keys(), ...b.pages.keys()])) {
    const left = a.pages.get(pfn) ?? { type: HOLE, hash: undefined };
    const right = b.pages.get(pfn) ?? { type: HOLE, hash: undefined };
    if (left.type !== HOLE) add(left.type, "a");
    if (right.type !== HOLE) add(right.type, "b");
    if (left.type === HOLE && right.type === HOLE) continue;
    if (left.type === HOLE) add(right.type, "added");
    else if (right.type === HOLE) add(left.type, "gone");
    else if (left.type !== right.type) add(right.type, "retyped");
    else add(left.type, left.hash === right.hash ? "same" : "changed");
  }
  return { all, types };
}

function expectCounts(report: DiffReport, a: FinalState, b: FinalState): void {
  const { all, types } = wantedCounts(a, b);
  const { by_type: rows, ...pages } = report.pages;
  expect(Object.fromEntries(NAMES.map((name) => [name, pages[name]]))).toEqual(all);
  expect(new Map(rows.map(({ type, ...counts }) => [type, counts]))).toEqual(types);
  const told = pages.runs.reduce((sum, run) => sum + run.last_pfn - run.first_pfn + 1, 0);
  const wanted = all.changed + all.retyped + all.added + all.gone;
  if (pages.runs_left_off === 0) expect(told).toBe(wanted);
  expect(pages.retypes.reduce((sum, { count }) => sum + count, 0)).toBe(all.retyped);
}

describe("pages", () => {
  const base = { isColo: false, version: 3 } as const;
  const rows = [
    ["two lives of a PV guest", "pv", 0, 0],
    ["a live one and a checkpointed one", "pv", 0, 3],
    ["two checkpointed HVM guests", "hvm", 2, 4],
  ] as const;
  test.each(rows)("of %s are counted as a slow model counts them", async (_, guest, one, other) => {
    for (const seed of [1, 2, 3]) {
      const of = (checkpoints: number, from: number, framing: "xl" | "libxl") =>
        encode(randomStream(randomNumbers(from), { ...base, guest, checkpoints, framing })).bytes;
      const [a, b] = [of(one, seed, "xl"), of(other, seed + 100, "libxl")];
      const states = [a, b].map((bytes, index) =>
        finalState(bytes, [one, other][index] === 0 ? undefined : [one, other][index]),
      );
      expectCounts(await diffBytes(a, b), states[0]!, states[1]!);
    }
  });

  test("that went on from the same start are compared one by one", async () => {
    const a = randomStream(randomNumbers(5), {
      ...base,
      guest: "pv",
      checkpoints: 6,
      framing: "xl",
    });
    const { bytes } = encode(a);
    const earlier = (await squashBytes(bytes, { at: 2 })).bytes;
    const later = (await squashBytes(bytes, { at: 6 })).bytes;
    const report = await diffBytes(earlier, later);
    expectCounts(report, finalState(bytes, 2), finalState(bytes, 6));
    expect(report.pages.same).toBeGreaterThan(100);
  });

  test("that are sent in another order are the same pages", async () => {
    const pfns = Array.from({ length: 300 }, (_, pfn) => pfn);
    const plan = (order: readonly number[]): StreamPlan => {
      const built = xlPlan(PV64);
      built.records = built.records.filter(({ name }) => name !== "PAGE_DATA");
      for (const pfn of order) {
        insertBefore(built, "X86_TSC_INFO", variedBatch(entriesOf([pfn], 0), 0));
      }
      return built;
    };
    const report = await diffPlans(plan(pfns), plan(pfns.toReversed()));
    expect({ same: report.same, pages: report.pages.same }).toEqual({ same: true, pages: 300 });
  });

  test.each([
    [0, 1],
    [1, 0],
  ])("that are too scattered are refused (%d, %d)", async (first, second) => {
    const places = Array.from({ length: SPARE_PAGES + 9 }, (_, at) => at * PAGE_PFNS * 77);
    const plan: StreamPlan = { records: libxcRecords(HVM) };
    insertAfter(plan, "STATIC_DATA_END", variedBatch(entriesOf(places, HOLE), 6));
    const plans = [plan, xlPlan(PV64)];
    expect(await refusalOf(diffPlans(plans[first]!, plans[second]!))).toMatch(
      /^RefusedError: Cannot compare "[AB]": its pfns are too scattered for any guest/,
    );
  });
});

describe("a stream and what it squashes to", () => {
  test.each([
    ["Remus, PV", checkpointedPlan(PV64, { checkpoints: 3, isColo: false })],
    ["COLO, HVM", checkpointedPlan(HVM, { checkpoints: 2, isColo: true })],
  ])("end in the same state: %s", async (_, plan) => {
    const { bytes } = encode(plan);
    const squashed = (await squashBytes(bytes, {})).bytes;
    for (const report of [await diffBytes(bytes, squashed), await diffBytes(squashed, bytes)]) {
      expect({ same: report.same, state: report.state, hints: report.hints }).toEqual({
        same: true,
        state: [],
        hints: [],
      });
    }
  });

  test("also where a vcpu was down at the last checkpoint", async () => {
    const plan = checkpointedPlan(PV64, { checkpoints: 2, isColo: false });
    const last = plan.records.findLastIndex(({ name }) => name === "X86_PV_VCPU_BASIC");
    plan.records.splice(last, 4); // The records of vcpu 1 in the last round.
    const { bytes } = encode(plan);
    const report = await diffBytes(bytes, (await squashBytes(bytes, {})).bytes);
    expect({ same: report.same, state: report.state }).toEqual({ same: true, state: [] });
  });

  const captures = ["pv32.remus.to-receiver", "pv32.migrate.to-receiver", "pvh48.xl-save"];
  test.each(captures)("end in the same state: %s", async (name) => {
    const path = capturePath(name);
    if (path === undefined) return;
    using folder = temporaryFolder();
    const squashed = join(folder.path, "squashed");
    const sink = new MemorySink();
    await squashPath(path, sink, {});
    writeFileSync(squashed, sink.contents);
    const report = await diffPaths(path, squashed);
    expect({ same: report.same, state: report.state }).toEqual({ same: true, state: [] });
    expect(report.pages.same).toBe(report.pages.a);
  });
});

const [SAVE, REMUS] = [capturePath("pv32.xl-save"), capturePath("pv32.remus.to-receiver")];
test.skipIf(SAVE === undefined || REMUS === undefined)(
  captureTitle("two captures of a guest are counted as a slow model counts them", SAVE ?? REMUS),
  async () => {
    const read = async (path: string) => new Uint8Array(await Bun.file(path).arrayBuffer());
    const report = await diffPaths(SAVE!, REMUS!);
    const a = finalState(await read(SAVE!), undefined);
    expectCounts(report, a, finalState(await read(REMUS!), 8));
  },
);
