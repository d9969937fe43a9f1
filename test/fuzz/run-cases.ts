// Runs a fuzzer over many seeds, and says of a failure how to have it again.

import type { Fuzzer } from "./fuzzers.ts";
import { randomOf, seedOfCase } from "./random.ts";

export interface FuzzRun {
  readonly fuzzer: Fuzzer;
  readonly seed: number;
  readonly cases: number;
  /** Called now and then with how many cases are done. */
  readonly onProgress: (done: number) => void;
}

const PROGRESS_CASES = 256;

/** A case that failed. Its message names the seed of the case, not of the run. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
  constructor(fuzzer: Fuzzer, caseSeed: number, options: ErrorOptions) {
    const reason = options.cause instanceof Error ? options.cause.message : String(options.cause);
    super(`SEED=${caseSeed} FUZZER=${fuzzer.name}: ${reason}`, options);
  }
}

/** One case; throws a FuzzFailure. */
export function runCase(fuzzer: Fuzzer, caseSeed: number): void {
  try {
    fuzzer.run(randomOf(caseSeed));
  } catch (error) {
    throw new FuzzFailure(fuzzer, caseSeed, { cause: error }); // Whatever it is.
  }
}

export function runCases({ fuzzer, seed, cases, onProgress }: FuzzRun): void {
  for (let index = 0; index < cases; index++) {
    runCase(fuzzer, seedOfCase(seed, index));
    if (index % PROGRESS_CASES === 0) onProgress(index);
  }
  onProgress(cases);
}
