// Every fuzzer for a moment, each run with another seed. A failure prints SEED and FUZZER: with
// both in the environment only that case runs. `bun run soak` runs a million.

import { afterAll, describe, expect, test } from "bun:test";
import { CANARY, type Fuzzer, FUZZERS } from "./fuzzers.ts";
import { FuzzFailure, runCase, runCases } from "./run-cases.ts";
import { endStoreDaemons } from "./store-fuzzers.ts";

const CASES_PER_SHARE = 400;
const { SEED, FUZZER } = process.env;

function run(fuzzer: Fuzzer, cases: number): void {
  const seed = Number(SEED ?? Math.floor(Math.random() * 2 ** 32));
  try {
    if (FUZZER === undefined) runCases({ fuzzer, seed, cases, onProgress: () => undefined });
    else runCase(fuzzer, seed);
  } catch (error) {
    if (error instanceof FuzzFailure) console.error(error.message);
    throw error;
  }
}

describe("no damage breaks", () => {
  afterAll(endStoreDaemons);
  test.each(FUZZERS.map((fuzzer) => [fuzzer.name, fuzzer] as const))(
    "%s",
    (name, fuzzer) => {
      if (FUZZER === undefined || FUZZER === name) run(fuzzer, fuzzer.share * CASES_PER_SHARE);
    },
    60_000,
  );
});

describe("a failure", () => {
  test("names its seed and fuzzer, which give it again", () => {
    const all = { fuzzer: CANARY, seed: 7, cases: 10_000, onProgress: () => undefined };
    let failure: unknown;
    try {
      runCases(all);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(FuzzFailure);
    const { message } = failure as FuzzFailure;
    const found = /^SEED=(\d+) FUZZER=canary: Assertion failed: the canary lives$/.exec(message);
    expect(found).not.toBeNull();
    expect(() => runCase(CANARY, Number(found?.[1]))).toThrow(message);
  });

  test("does not come with every seed", () => {
    const failing = Array.from({ length: 1000 }, (_, seed) => seed).filter((seed) => {
      try {
        runCase(CANARY, seed);
        return false;
      } catch (error) {
        return error instanceof FuzzFailure;
      }
    });
    expect(failing.length).toBeWithin(1, 50);
  });
});
