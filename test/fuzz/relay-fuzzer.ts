// A relay of damaged streams: passed on they are the same bytes, cut they are a beginning of them
// that no reader takes for the whole, and the verdict is that of verify.

import { deepStrictEqual } from "node:assert";
import { ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { assert } from "../../lib/base/index.ts";
import { MemorySource } from "../../lib/bytes/index.ts";
import { type OwnedEnd, ownEnd, relayStream, verifyStream } from "../../lib/stream/index.ts";
import { createMemfd, Fd } from "../../lib/sys/index.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { mutatePlan } from "./mutate-plan.ts";
import { onceIn, pick, type Random } from "./random.ts";

const PLANS = Object.values(VALID_PLANS).map((build) => build());
const LIMIT = 20;

/** Made when the first case runs: who imports the registry need not have them. */
let files: readonly [Fd, Fd] | undefined;

function damaged(random: Random): Uint8Array {
  const plan = pick(random, PLANS);
  const { bytes } = encode(onceIn(random, 2) ? mutatePlan(plan, random, PLANS) : plan);
  return onceIn(random, 2) ? mutateBytes(bytes.slice(), random) : bytes;
}

function relayed(bytes: Uint8Array, onError: "pass" | "cut") {
  files ??= [createMemfd("relay from"), createMemfd("relay to")];
  const [from, to] = files;
  for (const { number } of files) ftruncateSync(number, 0);
  writeSync(from.number, bytes, 0, bytes.byteLength, 0);
  // Every relay begins where the files begin: by a descriptor of its own for each.
  const [source, target] = [reopened(from, "r"), reopened(to, "r+")];
  const { report, bug } = relayStream({
    source,
    target,
    back: undefined,
    format: undefined,
    onError,
    limit: LIMIT,
    rate: undefined,
    capture: undefined,
    control: undefined,
    lifeline: undefined,
    isExact: false,
    tailsElsewhere: false,
    gate: undefined,
    onProgress() {},
  });
  source.letGo();
  if (bug !== undefined) throw bug;
  const passed = new Uint8Array(bytes.byteLength + 1);
  const got = readSync(to.number, passed, 0, passed.byteLength, 0);
  return { report, passed: passed.subarray(0, got) };
}

export const relay: Fuzzer = {
  name: "relay",
  share: 1,
  run(random) {
    const bytes = damaged(random);
    const verified = verifyStream(new MemorySource("fuzz", bytes), {
      format: undefined,
      compression: undefined,
      limit: LIMIT,
      onProgress() {},
      listener: {},
    });
    const isGood = verified.verdict === "good";
    const onError = onceIn(random, 2) ? "cut" : "pass";
    const { report, passed } = relayed(bytes, onError);
    deepStrictEqual(report.verdict, isGood ? "good" : "bad");
    deepStrictEqual(report.ended, isGood || onError === "pass" ? "end" : "cut");
    if (report.ended === "end") deepStrictEqual(passed, bytes);
    else {
      assert(passed.byteLength <= bytes.byteLength, "nothing is added to what is cut");
      deepStrictEqual(passed, bytes.subarray(0, passed.byteLength));
    }
  },
};

const reopened = (fd: Fd, flags: "r" | "r+"): OwnedEnd => {
  const path = `/proc/self/fd/${fd.number}`;
  return ownEnd(new Fd(openSync(path, flags), path));
};
