// The registry of fuzzers. Each makes one case out of a source of randomness, and throws where
// something does not hold that must.

import { deepStrictEqual } from "node:assert";
import { ftruncateSync, readSync, writeSync } from "node:fs";
import { assert } from "../../lib/base/index.ts";
import { MemorySource, PEEK_BYTES_MAX } from "../../lib/bytes/index.ts";
import type { Format } from "../../lib/stream/detect.ts";
import { HVM_CONTEXT_FINDINGS_MAX, TYPES } from "../../lib/stream/hvm-context/index.ts";
import { FileSource, PipeSource } from "../../lib/stream/input/index.ts";
import { QEMU_FINDINGS_MAX } from "../../lib/stream/qemu/index.ts";
import type { VerifyReport } from "../../lib/stream/verify/index.ts";
import { XAPI_OLD_QEMU_SIGNATURE } from "../../lib/stream/xapi/index.ts";
import { createMemfd, duplicate, enlargePipe, type Fd, makePipe } from "../../lib/sys/index.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode, type StreamPlan } from "../helpers/stream-plan.ts";
import { qemuState } from "../helpers/stream-records.ts";
import { context } from "../stream/hvm-context/build.ts";
import { parse as parseHvm } from "../stream/hvm-context/collect.ts";
import { collect as parseQemu } from "../stream/qemu/collect.ts";
import { checkpointKills } from "./checkpoint-fuzzer.ts";
import { checkReport, checkSchema, verifyForFuzz } from "./check-report.ts";
import { DEVICE_FUZZERS } from "./device-fuzzers.ts";
import { liveUpdates, liveUpdateSignals } from "./live-update-fuzzer.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { mutatePlan } from "./mutate-plan.ts";
import { onceIn, pick, type Random } from "./random.ts";
import { relay } from "./relay-fuzzer.ts";
import { storeCore } from "./store-core-fuzzer.ts";
import { SNAPSHOT_FUZZERS } from "./snapshot-fuzzers.ts";
import { STORE_FUZZERS } from "./store-fuzzers.ts";
import { storeArena, storeState } from "./store-state-fuzzer.ts";

export interface Fuzzer {
  readonly name: string;
  /** Its share of a soak run, beside the shares of the others. */
  readonly share: number;
  readonly run: (random: Random) => void;
}

const FORMATS: readonly Format[] = ["xl", "libxl", "libxc", "xapi", "legacy"];
const PLANS: readonly StreamPlan[] = Object.values(VALID_PLANS).map((build) => build());
const ENCODED: readonly Uint8Array[] = PLANS.map((plan) => encode(plan).bytes);

// ---- verify -------------------------------------------------------------------------------------

function checkBytes(bytes: Uint8Array, random: Random): void {
  const bytesTotal = bytes.byteLength;
  const format = onceIn(random, 8) ? pick(random, FORMATS) : undefined;
  const report = verifyForFuzz(new MemorySource("fuzz", bytes), { bytesTotal, format });
  checkReport(report, bytes.byteLength);
  if (onceIn(random, 64)) checkSchema(report);
}

/** Bytes of a stream that is damaged by record, by byte, or both. */
function damagedStream(random: Random): Uint8Array {
  if (onceIn(random, 3)) return mutateBytes(pick(random, ENCODED).slice(), random);
  const { bytes } = encode(mutatePlan(pick(random, PLANS), random, PLANS));
  return onceIn(random, 8) ? mutateBytes(bytes, random) : bytes;
}

const plans: Fuzzer = {
  name: "plans",
  share: 12,
  run(random) {
    checkBytes(encode(mutatePlan(pick(random, PLANS), random, PLANS)).bytes, random);
  },
};

const bytes: Fuzzer = {
  name: "bytes",
  share: 6,
  run(random) {
    checkBytes(mutateBytes(pick(random, ENCODED).slice(), random), random);
  },
};

// ---- One stream over every kind of source -------------------------------------------------------

/** What must be the same: sources have names, and a pipe is not read behind the stream. */
const comparable = (report: VerifyReport): VerifyReport => ({
  ...report,
  input: "fuzz",
  trailing: null,
});

const LEFT = new Uint8Array(64 * 1024);

type Expectation = Parameters<typeof verifyForFuzz>[1];

function overFile(stream: Uint8Array, expected: Expectation): VerifyReport {
  const fd = createMemfd("fuzz");
  ftruncateSync(fd.number, stream.byteLength);
  if (stream.byteLength > 0) writeSync(fd.number, stream, 0, stream.byteLength, 0);
  using source = new FileSource(fd, { bytesTotal: stream.byteLength, start: 0 });
  return verifyForFuzz(source, expected);
}

/** `left`: how many bytes the pipe still holds for whoever reads it next. */
function overPipe(
  stream: Uint8Array,
  expected: Expectation,
): { readonly report: VerifyReport; readonly left: number } {
  const { readEnd, writeEnd } = makePipe();
  const room = enlargePipe(writeEnd);
  assert(stream.byteLength <= room, "a fuzzed stream fits into a pipe");
  writeAll(writeEnd, stream);
  writeEnd[Symbol.dispose]();
  using next = duplicate(readEnd.number, "the next reader");
  using source = new PipeSource(readEnd, { isPipe: true });
  const report = verifyForFuzz(source, expected);
  let left = 0;
  for (let got = -1; got !== 0; left += got) got = readSync(next.number, LEFT);
  return { report, left };
}

function writeAll(fd: Fd, stream: Uint8Array): void {
  for (let done = 0; done < stream.byteLength;) {
    done += writeSync(fd.number, stream, done, stream.byteLength - done);
  }
}

/**
 * Behind a good stream nothing is taken from a pipe, but what tells that no QEMU record follows:
 * older formats do not say. Where a stream is not good it may have been looked ahead.
 */
function checkLeft(stream: Uint8Array, report: VerifyReport, left: number): void {
  const { verdict, format, end_offset: end } = report;
  const taken = stream.byteLength - left - end;
  const isOld = format === "xapi" || format === "legacy";
  const mayLook =
    verdict !== "good" ? PEEK_BYTES_MAX : isOld ? XAPI_OLD_QEMU_SIGNATURE.byteLength : 0;
  assert(taken >= 0, "a stream ends in what was taken");
  assert(taken <= mayLook, `a pipe is not read behind the end: ${taken} bytes`);
}

const sources: Fuzzer = {
  name: "sources",
  share: 1,
  run(random) {
    const stream = damagedStream(random);
    const format = onceIn(random, 8) ? pick(random, FORMATS) : undefined;
    const expected = { bytesTotal: stream.byteLength, format };
    const memory = verifyForFuzz(new MemorySource("fuzz", stream), expected);
    deepStrictEqual(comparable(overFile(stream, expected)), comparable(memory));
    const { report, left } = overPipe(stream, expected);
    deepStrictEqual(comparable(report), comparable(memory));
    checkLeft(stream, memory, left);
  },
};

// ---- Parsers of states --------------------------------------------------------------------------

const NAMES = TYPES.slice(1).map(({ name }) => name);
const HVM_CONTEXT = new Uint8Array(context([...NAMES, "CPU 1", "LAPIC 1", "END"]));
const QEMU_STATE = qemuState();

/** A state is read the same in pieces of any size, and says no more than it may. */
const inPieces =
  <T extends { readonly findings: readonly string[] }>(
    valid: Uint8Array,
    { parse, most }: { readonly parse: (bytes: Uint8Array, piece: number) => T; most: number },
  ) =>
  (random: Random): void => {
    const state = mutateBytes(valid.slice(), random);
    const whole = parse(state, Math.max(1, state.byteLength));
    assert(whole.findings.length <= most, "findings are bounded");
    deepStrictEqual(parse(state, 1 + random(300)), whole);
  };

const hvmContext: Fuzzer = {
  name: "hvm_context",
  share: 2,
  run: inPieces(HVM_CONTEXT, { parse: parseHvm, most: HVM_CONTEXT_FINDINGS_MAX }),
};

const qemu: Fuzzer = {
  name: "qemu",
  share: 2,
  run: inPieces(QEMU_STATE, { parse: parseQemu, most: QEMU_FINDINGS_MAX }),
};

// ---- The registry -------------------------------------------------------------------------------

export const FUZZERS: readonly Fuzzer[] = [
  plans,
  bytes,
  sources,
  hvmContext,
  qemu,
  relay,
  storeState,
  storeArena,
  storeCore,
  ...STORE_FUZZERS,
  checkpointKills,
  liveUpdates,
  liveUpdateSignals,
  ...DEVICE_FUZZERS,
  ...SNAPSHOT_FUZZERS,
];

/** Fails on purpose, for about one seed in a hundred: it tests that failures are reported. */
export const CANARY: Fuzzer = {
  name: "canary",
  share: 0,
  run(random) {
    assert(random(100) !== 42, "the canary lives");
  },
};
