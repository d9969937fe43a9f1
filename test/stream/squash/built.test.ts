// Squashing built streams: one of every kind, random ones against a slow model, and the corners.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { LIBXC, PAGE_DATA_HEAD } from "../../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../../lib/stream/libxl/index.ts";
import { SPARE_PAGES, PAGE_PFNS } from "../../../lib/stream/page-index.ts";
import { finalState } from "../../helpers/final-state.ts";
import { randomNumbers } from "../../helpers/pieces.ts";
import {
  entriesOf,
  randomStream,
  type RandomStreamOptions,
  variedBatch,
} from "../../helpers/random-streams.ts";
import { REFERENCE_TOOL, referenceVerdict } from "../../helpers/reference-verifier.ts";
import { refusalOf, type Squashed, squashPlan } from "../../helpers/squash-bytes.ts";
import {
  checkpointedPlan,
  HVM,
  libxcRecords,
  PV64,
  VALID_PLANS,
  xlPlan,
} from "../../helpers/stream-builder.ts";
import {
  encode,
  indexOf,
  insertAfter,
  insertBefore,
  type PlanRecord,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import {
  dirtyPfnList,
  emulatorContext,
  libxlRecord,
  toolstack,
  tscInfo,
  unknownRecord,
  vcpuRecords,
} from "../../helpers/stream-records.ts";
import { suspendRecords } from "../../helpers/suspend-builder.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

setDefaultTimeout(60_000); // Much is written to disk, which other tests may keep busy.

function expectPlain({ bytes, report }: Squashed): void {
  const verified = verifyBytes(bytes, {});
  expect({ kind: verified.kind, lines: findingLines(verified) }).toEqual({
    kind: "plain",
    lines: [],
  });
  expect(bytes.byteLength).toBe(report.output_bytes);
}

const isLegacy = (name: string) => name.includes("legacy");
const isLive = (name: string) => /Remus, (PV|HVM)|COLO|VERIFY/.test(name);

describe("one stream of every kind", () => {
  const plain = Object.entries(VALID_PLANS).filter(([name]) => !isLegacy(name) && !isLive(name));
  test.each(plain)("%s comes out as it went in", async (_, build) => {
    const squashed = await squashPlan(build(), {});
    expect(Buffer.compare(squashed.bytes, encode(build()).bytes)).toBe(0);
  });

  const live = Object.entries(VALID_PLANS).filter(([name]) => isLive(name));
  test.each(live)("%s becomes a plain one", async (name, build) => {
    const squashed = await squashPlan(build(), {});
    expectPlain(squashed);
    const { bytes } = encode(build());
    const { report } = squashed;
    const wanted = finalState(bytes, report.checkpoint ?? undefined);
    const found = finalState(squashed.bytes, undefined);
    expect(found.pages).toEqual(wanted.pages);
    expect(found.records).toEqual(wanted.records);
    expect(report.pages.only_compared).toBe(wanted.verified);
    expect(report.kind).toBe(name.includes("COLO") ? "colo" : report.kind);
  });

  const legacy = Object.entries(VALID_PLANS).filter(([name]) => isLegacy(name));
  test.each(legacy)("%s is sent to agent convert", async (_, build) => {
    expect(await refusalOf(squashPlan(build(), {}))).toBe(
      'RefusedError: Cannot squash "built": it is a legacy stream; ' +
        "agent convert makes a current one of it",
    );
  });
});

describe("random streams end in the state that a slow model finds", () => {
  const base = { isColo: false, version: 3, framing: "xl" } as const;
  const rows: readonly (readonly [string, RandomStreamOptions])[] = [
    ["live PV", { ...base, guest: "pv", checkpoints: 0 }],
    ["live HVM", { ...base, guest: "hvm", checkpoints: 0, framing: "libxl" }],
    ["live PV, version 2", { ...base, guest: "pv", checkpoints: 0, version: 2, framing: "libxc" }],
    ["Remus PV", { ...base, guest: "pv", checkpoints: 5 }],
    ["Remus HVM", { ...base, guest: "hvm", checkpoints: 4, framing: "libxl" }],
    ["bare Remus PV", { ...base, guest: "pv", checkpoints: 3, framing: "libxc" }],
    ["COLO HVM", { ...base, guest: "hvm", checkpoints: 4, isColo: true }],
  ];
  test.each(rows)("%s", async (_, options) => {
    const seeds = process.env.SEED === undefined ? [1, 2] : [Number(process.env.SEED)];
    for (const seed of seeds) {
      const plan = randomStream(randomNumbers(seed), options);
      const input = encode(plan).bytes;
      for (let at = options.checkpoints; at >= Math.min(1, options.checkpoints); at--) {
        const { bytes, report } = await squashPlan(plan, at === 0 ? {} : { at });
        const wanted = finalState(input, at === 0 ? undefined : at);
        const found = finalState(bytes, undefined);
        expect({ seed, at, pages: found.pages }).toEqual({ seed, at, pages: wanted.pages });
        expect(found.records).toEqual(wanted.records);
        expect(found.sent).toBe(wanted.pages.size);
        expect(report.pages.kept).toBe(wanted.pages.size);
        expect(report.libxc_version).toBe(options.version);
        expect(verifyBytes(bytes, {}).errors).toBe(0);
        const hasEmulator = options.guest === "hvm"; // Its xenstore data is refused by a defect.
        if (REFERENCE_TOOL === undefined || seed > 1 || hasEmulator) continue;
        expect(referenceVerdict(bytes, options.framing)).toBe("accepted");
      }
    }
  });
});

// ---- Corners ----------------------------------------------------------------------------------

/** An xl stream of a PV guest whose memory is these batches. */
function withBatches(...batches: readonly PlanRecord[]): StreamPlan {
  const plan = xlPlan(PV64);
  plan.records = plan.records.filter(({ name }) => name !== LIBXC.pageData.name);
  insertBefore(plan, LIBXC.tscInfo.name, ...batches);
  return plan;
}

/** Pages as `pfn type`, as they stand in the output. */
const pagesOf = ({ bytes }: Squashed) =>
  [...finalState(bytes, undefined).pages].map(([pfn, { type }]) => `${pfn} ${type}`);

const RUN = (count: number) => Array.from({ length: count }, (_, pfn) => pfn);

describe("pages", () => {
  test("the last entry of a pfn wins, its type included", async () => {
    const plan = withBatches(
      variedBatch([...entriesOf([0, 1, 2], 0), ...entriesOf([3], 0xf)], 1),
      variedBatch([...entriesOf([1], 0xf), ...entriesOf([3], 9)], 2),
    );
    const squashed = await squashPlan(plan, {});
    expect(pagesOf(squashed).sort()).toEqual(["0 0", "1 15", "2 0", "3 9"]);
    expect(squashed.report.pages).toEqual({
      sent: 6,
      sent_with_data: 4,
      kept: 4,
      kept_with_data: 3,
      only_compared: 0,
    });
  });

  test("a pfn twice in one batch is written once", async () => {
    const plan = withBatches(variedBatch(entriesOf([7, 8, 7, 7], 0), 3));
    const { bytes, report } = await squashPlan(plan, {});
    const last = finalState(encode(plan).bytes, undefined).pages.get(7);
    expect(finalState(bytes, undefined).pages.get(7)).toEqual(last!);
    expect(report.pages.kept).toBe(2);
  });

  test("a batch of more than 1024 pfns is split", async () => {
    const plan = withBatches(variedBatch(entriesOf(RUN(2500), 0xe), 4));
    const { bytes } = await squashPlan(plan, {});
    const counts: number[] = [];
    const view = new DataView(bytes.buffer);
    const buffer = Buffer.from(bytes.buffer);
    let at = buffer.indexOf("XENF") + 32;
    for (; view.getUint32(at, true) !== 0; at += 8 + view.getUint32(at + 4, true)) {
      if (view.getUint32(at, true) === 1) counts.push(view.getUint32(at + 8, true));
      if (view.getUint32(at, true) === 8) break;
    }
    expect(counts).toEqual([1024, 1024, 452]);
  });

  test("reserved bits of a pfn are not passed on", async () => {
    const batch = variedBatch(entriesOf([1, 2], 0xe), 5);
    batch.body[8 + 6] = 0xf0; // Bits 52 to 55 of the first entry.
    const plan = withBatches(batch);
    expect(verifyBytes(encode(plan).bytes, {}).strict_warnings).toBe(1);
    const squashed = await squashPlan(plan, {});
    expect(verifyBytes(squashed.bytes, {}).strict_warnings).toBe(0);
    expect(pagesOf(squashed)).toEqual(["1 14", "2 14"]);
  });

  test("pfns that no guest scatters like this are refused", async () => {
    const places = RUN(SPARE_PAGES + 10).map((index) => index * PAGE_PFNS * 1000);
    const records = libxcRecords({ ...HVM, version: 3 });
    const plan: StreamPlan = { records };
    insertAfter(plan, LIBXC.staticDataEnd.name, variedBatch(entriesOf(places, 0xf), 6));
    const refusal = await refusalOf(squashPlan(plan, {}));
    expect(refusal).toMatch(
      /^RefusedError: Cannot squash "built": its pfns are too scattered for any guest: no room/,
    );
  });
});

describe("state", () => {
  const TWO = { checkpoints: 2, isColo: false } as const;

  test("a vcpu that is down at the checkpoint stays down", async () => {
    const plan = checkpointedPlan(PV64, TWO);
    const last = plan.records.findLastIndex(({ name }) => name === LIBXC.vcpuBasic.name);
    plan.records.splice(last, 4); // The records of vcpu 1 in the last round.
    const squashed = await squashPlan(plan, {});
    expectPlain(squashed);
    const vcpus = finalState(squashed.bytes, undefined).records.filter((text) =>
      text.startsWith("libxc 4"),
    );
    expect(vcpus).toHaveLength(1);
  });

  test("what only an earlier round has is taken from there, behind all pages", async () => {
    const plan = checkpointedPlan(PV64, TWO);
    plan.records.splice(indexOf(plan, LIBXC.tscInfo.name, 1), 1);
    const squashed = await squashPlan(plan, {});
    expectPlain(squashed);
    const texts = finalState(squashed.bytes, undefined).records;
    expect(texts.filter((text) => text.startsWith("libxc 8"))).toHaveLength(1);
  });

  test("of a record that is sent twice the last one counts", async () => {
    const plan = xlPlan(PV64);
    const second = tscInfo();
    second.body[8] = 77;
    insertAfter(plan, LIBXC.sharedInfo.name, second);
    const squashed = await squashPlan(plan, {});
    expectPlain(squashed);
    const wanted = finalState(encode(plan).bytes, undefined);
    expect(finalState(squashed.bytes, undefined).records).toEqual(wanted.records);
  });

  test("vcpu records without contents are left out", async () => {
    const plan = xlPlan(PV64);
    const empty = vcpuRecords(0, 8)[2]!;
    empty.body = empty.body.slice(0, 8);
    insertBefore(plan, LIBXC.end.name, empty);
    const squashed = await squashPlan(plan, {});
    expect(Buffer.compare(squashed.bytes, encode(xlPlan(PV64)).bytes)).toBe(0);
  });

  test("optional records that nobody knows are left out, and counted", async () => {
    const plan = xlPlan(PV64);
    insertBefore(plan, LIBXC.tscInfo.name, unknownRecord(0x8000_0001, new Uint8Array(5)));
    const squashed = await squashPlan(plan, {});
    expect(squashed.report.optional_records).toBe(1);
    expect(Buffer.compare(squashed.bytes, encode(xlPlan(PV64)).bytes)).toBe(0);
  });

  test("what stands behind the stream is left out", async () => {
    const plan = xlPlan(PV64);
    const { bytes } = encode(plan);
    plan.records.push(unknownRecord(1, new Uint8Array(100)));
    const squashed = await squashPlan(plan, {});
    expect(Buffer.compare(squashed.bytes, bytes)).toBe(0);
  });
});

describe("what cannot be squashed", () => {
  const rows: readonly (readonly [string, () => StreamPlan, { at?: number }, string])[] = [
    [
      "a plain stream at a checkpoint",
      () => xlPlan(PV64),
      { at: 1 },
      'RefusedError: Cannot squash "built": it has no checkpoints',
    ],
    [
      "a checkpoint that is not there",
      () => checkpointedPlan(PV64, { checkpoints: 2, isColo: false }),
      { at: 3 },
      'RefusedError: Cannot squash "built" at checkpoint 3: it has 2 complete checkpoints',
    ],
    [
      "a checkpointed suspend image",
      () => {
        const { records } = checkpointedPlan(PV64, { checkpoints: 1, isColo: false });
        const image = records.slice(records.findIndex(({ name }) => name === "image_header"));
        return { records: suspendRecords("libxc", image).slice(0, image.length + 3) };
      },
      {},
      'RefusedError: Cannot squash "built": xenopsd knows no checkpoints in a suspend image',
    ],
    [
      "a bare checkpointed image with a device model",
      () => {
        const { records } = checkpointedPlan(HVM, { checkpoints: 1, isColo: false });
        return { records: records.slice(records.findIndex(({ name }) => name === "image_header")) };
      },
      {},
      'RefusedError: Cannot squash "built": a bare libxc image has no room for the state of the ' +
        "device model",
    ],
  ];
  test.each(rows)("%s", async (_, build, options, refusal) => {
    expect(await refusalOf(squashPlan(build(), options))).toBe(refusal);
  });

  const bad: readonly (readonly [string, (plan: StreamPlan) => void, RegExp])[] = [
    [
      "a batch without pfns",
      (plan) => setField(pageRecord(plan), PAGE_DATA_HEAD, { field: "count", value: 0 }),
      /^StreamError: libxc PAGE_DATA.count at offset .*: expected at least 1 pfn, found 0$/,
    ],
    [
      "a batch that is too long",
      (plan) => void (pageRecord(plan).body = new Uint8Array([...pageRecord(plan).body, 1])),
      /^StreamError: libxc PAGE_DATA.body_length at offset .*: expected \d+ bytes, found \d+$/,
    ],
    [
      "a page type that Xen does not define",
      (plan) => void (pageRecord(plan).body[8 + 7] = 0x60),
      /^StreamError: libxc PAGE_DATA.pfn\[0\] .* a page type that Xen defines, found type 6/,
    ],
    [
      "TOOLSTACK, which libxc reads no more",
      (plan) => insertBefore(plan, LIBXC.tscInfo.name, toolstack()),
      /^StreamError: libxc TOOLSTACK.type .* expected a record that libxc restores, found TOOL/,
    ],
    [
      "a list of COLO's back channel",
      (plan) => insertBefore(plan, LIBXC.tscInfo.name, dirtyPfnList()),
      /^StreamError: libxc CHECKPOINT_DIRTY_PFN_LIST.type /,
    ],
    [
      "a mandatory record that nobody knows",
      (plan) => insertBefore(plan, LIBXC.tscInfo.name, unknownRecord(0x42, new Uint8Array(8))),
      /^StreamError: libxc type 0x42.type .* expected a record that libxc restores, found 0x42/,
    ],
    [
      "more vcpus than any guest has",
      (plan) => {
        const vcpus = Array.from({ length: 8191 }, (_, id) => vcpuRecords(id + 2, 4)[3]!);
        insertBefore(plan, "END", ...vcpus);
      },
      /^StreamError: libxc X86_PV_VCPU_MSRS.vcpu_id .*: expected at most 8192 vcpus, found another/,
    ],
    [
      "a stream that ends before its image",
      (plan) => void plan.records.splice(indexOf(plan, "LIBXC_CONTEXT", 0), 99, libxlEnd()),
      /^StreamError: libxc image_header.header at .*: expected a libxc image, found the end of the/,
    ],
    [
      "a libxl record that nobody knows",
      (plan) =>
        insertAfter(plan, "END", libxlRecord({ ...LIBXL.emulatorContext, type: 9, name: "x" })),
      /^StreamError: libxl type 0x9.type .*: expected a type from 0x0 to 0x5, found 0x9$/,
    ],
  ];
  test.each(bad)("%s", async (_, damage, refusal) => {
    const plan = xlPlan(PV64);
    for (const record of plan.records) record.body = record.body.slice();
    damage(plan);
    expect(await refusalOf(squashPlan(plan, {}))).toMatch(refusal);
  });

  test("damage behind a checkpoint, unless that checkpoint is named", async () => {
    const plan = checkpointedPlan(PV64, { checkpoints: 2, isColo: false });
    const index = plan.records.findLastIndex(({ name }) => name === LIBXC.pageData.name);
    plan.records[index]!.length = 0x0fff_ffff;
    const refusal = await refusalOf(squashPlan(plan, {}));
    expect(refusal).toMatch(
      /^RefusedError: Cannot squash "built": libxc PAGE_DATA at offset \S+ is damaged; --at 1 /,
    );
    expectPlain(await squashPlan(plan, { at: 1 }));
  });

  test("a stream whose first checkpoint is not complete", async () => {
    const plan = checkpointedPlan(PV64, { checkpoints: 1, isColo: false });
    plan.records.pop();
    expect(await refusalOf(squashPlan(plan, {}))).toMatch(/^StreamError: .*the end of the input/);
  });
});

const libxlEnd = (): PlanRecord => libxlRecord(LIBXL.end);

/** The first batch. */
const pageRecord = (plan: StreamPlan): PlanRecord =>
  plan.records[indexOf(plan, LIBXC.pageData.name, 0)]!;

test("emulator records are those of the checkpoint that is taken", async () => {
  const plan = checkpointedPlan(HVM, { checkpoints: 3, isColo: false });
  for (const [nth, fill] of [1, 2, 3].entries()) {
    const record = plan.records[indexOf(plan, LIBXL.emulatorContext.name, nth)]!;
    record.body = emulatorContext().body.slice();
    record.body[40] = fill; // Within the state of the first device.
  }
  for (const at of [1, 2, 3]) {
    const { bytes } = await squashPlan(plan, { at });
    const wanted = finalState(encode(plan).bytes, at);
    expect(finalState(bytes, undefined).records.slice(-2)).toEqual(wanted.records.slice(-2));
  }
});
