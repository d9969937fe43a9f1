// COLO's back channel: recognised, verified, and what is wrong with one told with its place.

import { describe, expect, test } from "bun:test";
import { BANNER } from "../../../lib/stream/xl/index.ts";
import { LIBXC } from "../../../lib/stream/libxc/index.ts";
import { ascii, encode, join, type PlanRecord, words } from "../../helpers/stream-plan.ts";
import { checkpointState, libxcRecord } from "../../helpers/stream-records.ts";
import { verifyBytes } from "../../helpers/verify-bytes.ts";

const [SUSPENDED, READY, RESUMED] = [1, 2, 3].map(checkpointState) as [
  PlanRecord,
  PlanRecord,
  PlanRecord,
];
const list = (...pfns: number[]): PlanRecord => libxcRecord(LIBXC.dirtyPfnList, words(8, pfns));
const bytesOf = (...records: PlanRecord[]): Uint8Array => encode({ records }).bytes;
const GOOD = bytesOf(READY, RESUMED, SUSPENDED, list(1, 2, 9), READY, RESUMED, SUSPENDED, list(2));

const found = (bytes: Uint8Array) => {
  const report = verifyBytes(bytes, {});
  const texts = report.findings.map(
    ({ record, field, expected, found: what }) => `${record}.${field}: ${expected}, ${what}`,
  );
  return { verdict: report.verdict, format: report.format, texts };
};

describe("a good one", () => {
  test.each([
    ["alone", GOOD],
    ["behind xl's banner", join(ascii(BANNER), GOOD)],
    ["with control ids of eight bytes", bytesOf(withPad(READY), RESUMED)],
    ["that breaks behind its first record", bytesOf(READY)],
    ["with an empty list", bytesOf(READY, RESUMED, SUSPENDED, list(), READY)],
  ] as const)("%s", (_, bytes) => {
    expect(found(bytes)).toEqual({ verdict: "good", format: "colo-back", texts: [] });
  });

  test("is counted", () => {
    const { records, pages, kind, checkpoints, end_offset: end } = verifyBytes(GOOD, {});
    expect({ records, kind, end }).toEqual({ records: 8, kind: "colo", end: GOOD.byteLength });
    expect(pages).toEqual({ sent: 4, with_data: 0, distinct: 3 });
    expect(checkpoints.complete).toBe(2);
  });
});

/** As the specification draws it. */
function withPad(record: PlanRecord): PlanRecord {
  return { ...record, body: join(record.body, new Uint8Array(4)) };
}

/** As libxc writes it since Xen 4.16: a header that ends in a pointer. */
function withPointer(...pfns: number[]): PlanRecord {
  const record = list(0, ...pfns);
  return { ...record, length: pfns.length * 8 };
}

test("the eight bytes too many of newer libxc are a warning", () => {
  const bytes = bytesOf(READY, RESUMED, SUSPENDED, withPointer(4, 5), READY, RESUMED);
  const { verdict, texts } = found(bytes);
  expect(verdict).toBe("good");
  expect(texts).toEqual([
    "CHECKPOINT_DIRTY_PFN_LIST.body_length: the next record behind CHECKPOINT_DIRTY_PFN_LIST, " +
      "8 bytes more, as libxc writes since Xen 4.16: the primary takes them for a record",
  ]);
});

test.each([
  [
    "a record of another type",
    [READY, libxcRecord(LIBXC.checkpoint)],
    /record_header.type: .*0xe$/,
  ],
  ["what only the primary says", [READY, checkpointState(0)], /control_id: .*from 1 to 3, 0$/],
  ["a step left out", [READY, SUSPENDED], /order: SVM_RESUMED, SVM_SUSPENDED$/],
  ["a list before its time", [READY, RESUMED, list(1)], /order: SVM_SUSPENDED, CHECKPOINT_DIRTY/],
  ["a pfn that cannot be", [READY, RESUMED, SUSPENDED, list(2 ** 52)], /pfn: a pfn, of 52 bits/],
  [
    "a list of odd length",
    [READY, RESUMED, SUSPENDED, { ...list(1), length: 5 }],
    /body_length: a multiple of 8/,
  ],
] as const)("%s is an error", (_, records, text) => {
  const { verdict, texts } = found(bytesOf(...records));
  expect(verdict).toBe("bad");
  expect(texts[0]).toMatch(text);
});

test("cut at any byte: good at an edge of records, else an error that says so", () => {
  const edges = new Set(
    encode({
      records: [READY, RESUMED, SUSPENDED, list(1, 2, 9), READY, RESUMED, SUSPENDED, list(2)],
    }).starts,
  );
  for (let cut = 16; cut <= GOOD.byteLength; cut++) {
    const { verdict } = found(GOOD.subarray(0, cut));
    expect({ cut, verdict }).toEqual({ cut, verdict: edges.has(cut) ? "good" : "bad" });
  }
});
