// Checkpoint phases: the table as it is, and what it says of a stream that ends somewhere; each row
// of the latter once more with a real stream that is cut there.

import { describe, expect, test } from "bun:test";
import {
  type EndedIn,
  nextPhase,
  onTruncation,
  type Phase,
  type PhaseEvent,
  refusalOf,
  type StreamKind,
} from "../../lib/stream/phases.ts";
import { checkpointedPlan, HVM, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode, indexOf, type StreamPlan } from "../helpers/stream-plan.ts";
import { verifyBytes } from "../helpers/verify-bytes.ts";

const PHASES: readonly Phase[] = ["NORMAL", "BUFFERING", "UNBUFFERING"];
const EVENTS: readonly PhaseEvent[] = [
  "libxc_checkpoint",
  "record",
  "checkpoint_end",
  "input_ended",
  "read_failed",
  "applied",
  "apply_failed",
];
/** Every step there is; all others are refused. */
const STEPS: Readonly<Record<string, string>> = {
  "NORMAL libxc_checkpoint": "BUFFERING",
  "BUFFERING record": "BUFFERING",
  "BUFFERING checkpoint_end": "UNBUFFERING",
  "BUFFERING input_ended": "NORMAL FAILOVER",
  "BUFFERING read_failed": "NORMAL FAILOVER",
  "UNBUFFERING applied": "NORMAL SUCCESS",
  "UNBUFFERING apply_failed": "NORMAL ERROR",
};

describe("the steps between phases", () => {
  test.each(PHASES.flatMap((phase) => EVENTS.map((event) => [phase, event] as const)))(
    "%s on %s",
    (phase, event) => {
      const step = nextPhase(phase, event);
      const found = step === undefined ? undefined : [step.phase, step.result].join(" ").trim();
      expect(found).toBe(STEPS[`${phase} ${event}`]);
    },
  );
});

test.each([
  ["NORMAL", "CHECKPOINT_END", "a CHECKPOINT_END only after a libxc CHECKPOINT"],
  ["NORMAL", "END", undefined],
  ["NORMAL", "LIBXC_CONTEXT", undefined],
  ["BUFFERING", "END", "a CHECKPOINT_END before the END"],
  ["BUFFERING", "LIBXC_CONTEXT", "no LIBXC_CONTEXT within a checkpoint"],
  ["BUFFERING", "CHECKPOINT_END", undefined],
  ["BUFFERING", "EMULATOR_CONTEXT", undefined],
] as const)("in %s %s: %p", (phase, record, refusal) => {
  expect(refusalOf(phase, record)).toBe(refusal);
});

/** The receiver's behaviour on truncated input, a row a place. */
const TRUNCATED: readonly (readonly [EndedIn, string, string, string])[] = [
  // ended in        plain             before the first   after a checkpoint
  ["libxl", "error", "error", "failover"],
  ["libxc", "error", "error", "failover"],
  ["checkpoint_tail", "not_applicable", "error", "failover"],
  ["applying", "not_applicable", "error", "error"],
];

describe("a stream that ended in", () => {
  test.each(TRUNCATED)("%s", (endedIn, plain, before, after) => {
    const kinds: readonly StreamKind[] = ["plain", "before_first_checkpoint", "after_checkpoint"];
    expect(kinds.map((kind) => onTruncation(endedIn, kind) as string)).toEqual([
      plain,
      before,
      after,
    ]);
  });
});

// ---- Real streams -------------------------------------------------------------------------------

const remus = (): StreamPlan => checkpointedPlan(HVM, { checkpoints: 3, isColo: false });
const colo = (): StreamPlan => checkpointedPlan(PV64, { checkpoints: 3, isColo: true });

interface Cut {
  readonly plan: () => StreamPlan;
  /** Record, which one of its name, and how many bytes into it. */
  readonly at: readonly [string, number, number];
  readonly verdict: "good" | "bad";
  readonly complete: number;
  readonly failover: boolean | null;
}

const plainHvm = (): StreamPlan => xlPlan(HVM);
const plainPv = (): StreamPlan => xlPlan(PV64);

const CUTS: readonly (readonly [string, Cut])[] = [
  [
    "plain, in the libxl header",
    { plan: plainHvm, at: ["header", 0, 7], verdict: "bad", complete: 0, failover: null },
  ],
  [
    "plain, in a libxl record",
    {
      plan: plainHvm,
      at: ["EMULATOR_CONTEXT", 0, 20],
      verdict: "bad",
      complete: 0,
      failover: null,
    },
  ],
  [
    "plain, in libxc records",
    { plan: plainHvm, at: ["PAGE_DATA", 1, 9], verdict: "bad", complete: 0, failover: null },
  ],
  [
    "plain, before its END",
    { plan: plainPv, at: ["END", 1, 0], verdict: "bad", complete: 0, failover: null },
  ],
  [
    "Remus, before the first checkpoint, in libxc",
    { plan: remus, at: ["CHECKPOINT", 0, 4], verdict: "bad", complete: 0, failover: null },
  ],
  [
    "Remus, the first checkpoint, in its tail",
    { plan: remus, at: ["EMULATOR_CONTEXT", 0, 50], verdict: "bad", complete: 0, failover: false },
  ],
  [
    "Remus, the first checkpoint, in its CHECKPOINT_END",
    { plan: remus, at: ["CHECKPOINT_END", 0, 3], verdict: "bad", complete: 0, failover: false },
  ],
  [
    "Remus, behind the first CHECKPOINT_END",
    { plan: remus, at: ["CHECKPOINT_END", 0, 8], verdict: "good", complete: 1, failover: true },
  ],
  [
    "Remus, one byte behind it",
    { plan: remus, at: ["CHECKPOINT_END", 0, 9], verdict: "bad", complete: 1, failover: true },
  ],
  [
    "Remus, after a checkpoint, in libxc",
    { plan: remus, at: ["HVM_CONTEXT", 1, 100], verdict: "bad", complete: 1, failover: true },
  ],
  [
    "Remus, after a checkpoint, in the next tail",
    {
      plan: remus,
      at: ["EMULATOR_XENSTORE_DATA", 2, 12],
      verdict: "bad",
      complete: 2,
      failover: true,
    },
  ],
  [
    "Remus, behind the third CHECKPOINT_END",
    { plan: remus, at: ["CHECKPOINT_END", 2, 8], verdict: "good", complete: 3, failover: true },
  ],
  [
    "COLO, behind CHECKPOINT_END",
    { plan: colo, at: ["CHECKPOINT_END", 0, 8], verdict: "good", complete: 1, failover: true },
  ],
  [
    "COLO, in CHECKPOINT_STATE",
    { plan: colo, at: ["CHECKPOINT_STATE", 0, 10], verdict: "bad", complete: 1, failover: true },
  ],
  [
    "COLO, behind CHECKPOINT_STATE",
    { plan: colo, at: ["CHECKPOINT_STATE", 1, 16], verdict: "good", complete: 2, failover: true },
  ],
];

describe("a stream that is cut", () => {
  test.each(CUTS as [string, Cut][])(
    "%s",
    (_, { plan: build, at, verdict, complete, failover }) => {
      const plan = build();
      const encoded = encode(plan);
      const [name, nth, into] = at;
      const cut = encoded.starts[indexOf(plan, name, nth)]! + into;
      const report = verifyBytes(encoded.bytes.subarray(0, cut), {});
      const ends = plan.records.flatMap((record, index) =>
        record.name === "CHECKPOINT_END" ? [encoded.starts[index + 1]!] : [],
      );
      expect(report).toMatchObject({
        verdict,
        end_offset: cut,
        checkpoints: {
          complete,
          last_end_offset: complete === 0 ? null : ends[complete - 1],
          failover,
        },
      });
      expect(report.errors).toBe(verdict === "good" ? 0 : 1);
    },
  );

  test("the last row has no bytes to be cut: whether records apply, their checks tell", () => {
    const plan = remus();
    const context = plan.records[indexOf(plan, "EMULATOR_CONTEXT", 1)]!;
    context.body = context.body.slice(0, 60);
    const report = verifyBytes(encode(plan).bytes, {});
    expect(report).toMatchObject({ verdict: "bad", errors: 1 });
    expect(report.findings[0]).toMatchObject({ layer: "qemu", severity: "error" });
  });
});
