// Live iterations and checkpoints: where one begins, what it is, and what the last pass held.

import { describe, expect, test } from "bun:test";
import { LIBXC } from "../../../lib/stream/libxc/index.ts";
import { inspectPlan } from "../../helpers/inspect-bytes.ts";
import { checkpointedPlan, libxcRecords, PV64, VALID_PLANS } from "../../helpers/stream-builder.ts";
import type { StreamPlan } from "../../helpers/stream-plan.ts";
import { libxcRecord, pageData } from "../../helpers/stream-records.ts";

const NOTAB = 0;
const XTAB = 0xf;

const batch = (pfns: readonly number[], type: number) =>
  pageData(pfns.map((pfn) => ({ pfn, type })));
const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** A PV image whose memory is these batches. */
function live(...batches: readonly (readonly number[])[]): StreamPlan {
  const records = libxcRecords(PV64).filter(({ name }) => name !== LIBXC.pageData.name);
  const at = records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
  const memory = batches.map((pfns) => batch(pfns, NOTAB));
  return { records: [...records.slice(0, at), ...memory, ...records.slice(at)] };
}

/** `role pages/sent before ratio` of each iteration. */
function passes(plan: StreamPlan): string[] {
  return inspectPlan(plan, {}).iterations.list.map(
    ({ role, pages, sent_before: before, ratio }) => `${role} ${pages}/${before} ${ratio ?? "-"}`,
  );
}

describe("an iteration", () => {
  test.each([
    ["goes on while pfns rise", [range(0, 9), range(10, 19)], ["all 20/0 -"]],
    [
      "begins where a pfn is not above the last one",
      [range(0, 9), range(10, 19), [3, 7, 12], [5]],
      ["all 20/0 -", "live 3/3 0.15", "downtime 1/1 0.3333"],
    ],
    [
      "begins at the same pfn again",
      [range(0, 9), [9], [9]],
      ["all 10/0 -", "live 1/1 0.1", "downtime 1/1 1"],
    ],
    [
      "counts what was never sent as new",
      [range(0, 9), range(5, 14)],
      ["all 10/0 -", "downtime 10/5 1"],
    ],
  ] as const)("%s", (_, batches, wanted) => {
    expect(passes(live(...batches))).toEqual([...wanted]);
  });

  test("without contents counts, but not towards the ratio", () => {
    const plan = live(range(0, 9));
    const at = plan.records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
    plan.records.splice(at, 0, batch([2, 3], XTAB), batch([2, 3, 4], NOTAB));
    expect(passes(plan)).toEqual(["all 10/0 -", "live 2/2 0", "downtime 3/3 -"]);
  });

  test("of a stream cut before its state is not the downtime pass", () => {
    const plan = live(range(0, 9), [3], [3]);
    const last = plan.records.findLastIndex(({ name }) => name === LIBXC.pageData.name);
    plan.records.splice(last + 1);
    const { iterations, complete } = inspectPlan(plan, {});
    expect(iterations.list.map(({ role }) => role)).toEqual(["all", "live", "live"]);
    expect({ complete, downtime: iterations.downtime }).toEqual({
      complete: false,
      downtime: null,
    });
  });
});

describe("convergence", () => {
  test.each([
    ["single", [range(0, 9)]],
    ["converging", [range(0, 19), range(0, 9), range(0, 4)]],
    ["converging", [range(0, 19), [4]]],
    ["steady", [range(0, 19), range(0, 9), range(0, 8)]],
    ["growing", [range(0, 19), range(0, 4), range(0, 8)]],
  ] as const)("%s", (wanted, batches) => {
    expect(inspectPlan(live(...batches), {}).iterations.convergence).toBe(wanted);
  });
});

test("the downtime pass tells how much the stopped guest waits for", () => {
  const plan = live(range(0, 9), [1, 2]);
  const { downtime } = inspectPlan(plan, {}).iterations;
  const state = plan.records.slice(
    plan.records.findLastIndex(({ name }) => name === LIBXC.pageData.name) + 1,
  );
  expect(downtime).toEqual({
    number: 2,
    pages: 2,
    with_contents: 2,
    bytes: 8 + 8 + 2 * (8 + 4096),
    state_bytes: state.reduce((bytes, { body }) => bytes + 8 + body.byteLength, 0),
  });
});

test("pages behind VERIFY are of a kind of their own", () => {
  const { iterations } = inspectPlan(VALID_PLANS["xl, PV 64 with VERIFY"]!(), {});
  expect(iterations.list.map(({ role }) => role)).toEqual(["all", "verify"]);
  expect(iterations.downtime).toBeNull();
});

test("each checkpoint is an iteration, whatever its pfns", () => {
  const plan = checkpointedPlan(PV64, { checkpoints: 4, isColo: false });
  const { iterations, checkpoints } = inspectPlan(plan, {});
  expect(iterations.list.map(({ role, checkpoint }) => `${role} ${checkpoint}`)).toEqual([
    "all 0",
    "checkpoint 1",
    "checkpoint 2",
    "checkpoint 3",
  ]);
  expect(iterations.checkpoints).toEqual({
    count: 3,
    least_pages: 1,
    mean_pages: 1,
    most_pages: 1,
  });
  expect(checkpoints).toMatchObject({ complete: 4, failover: true });
});

test("of very many the first and the last are kept", () => {
  const plan = live(range(0, 9), ...Array.from({ length: 2000 }, () => [3]));
  const end = plan.records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
  plan.records.splice(end, 0, libxcRecord(LIBXC.pageData, batch([4], NOTAB).body));
  const { total, left_off, list } = inspectPlan(plan, {}).iterations;
  expect({ total, left_off, kept: list.length }).toEqual({
    total: 2001,
    left_off: 2001 - 1024,
    kept: 1024,
  });
  const numbers = list.map(({ number }) => number);
  expect(numbers.slice(0, 17)).toEqual([...range(1, 16), 994]);
  expect(numbers.at(-1)).toBe(2001);
  expect(list.at(-1)?.role).toBe("downtime");
});
