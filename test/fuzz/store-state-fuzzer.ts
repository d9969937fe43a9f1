// Dumps of a store, damaged anywhere: a reader says what is wrong, or what it read can be written
// and read again as the same.

import { deepStrictEqual } from "node:assert";
import { StreamError } from "../../lib/bytes/index.ts";
import { decodeState, encodeState, type StateTarget } from "../../lib/xenstore/state/index.ts";
import { randomState } from "../helpers/random-store.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { onceIn, pick, type Random } from "./random.ts";

const TARGETS: readonly StateTarget[] = [
  { format: "text", variant: "c" },
  { format: "stream", variant: "c" },
  { format: "stream-v2", variant: "c" },
  { format: "stream-v2", variant: "design" },
  { format: "json", variant: "c" },
];
const WORDS = ["store,", "watch,", "dom,", "socket,", "\n", ",", "0", "f", '"', "{", "]", "null"];

/** Text is damaged by words too: what else changes is mostly no text any more. */
function damaged(bytes: Uint8Array, isText: boolean, random: Random): Uint8Array {
  if (!isText || onceIn(random, 3)) return mutateBytes(bytes, random);
  const at = random(bytes.length);
  const parts = [bytes.subarray(0, at), Buffer.from(pick(random, WORDS))];
  return Buffer.concat([...parts, bytes.subarray(at + random(6))]);
}

export const storeState: Fuzzer = {
  name: "store_state",
  share: 4,
  run(random) {
    const target = pick(random, TARGETS);
    const bytes = encodeState(randomState(random), target);
    const isText = target.format === "text" || target.format === "json";
    try {
      const { state } = decodeState(damaged(bytes, isText, random));
      const again = encodeState(state, { format: "json", variant: "c" });
      deepStrictEqual(decodeState(again).state, state);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
    }
  },
};
