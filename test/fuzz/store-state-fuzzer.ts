// Dumps of a store, and the memory of one, damaged anywhere: a reader says what is wrong, or what
// it read can be written and read again as the same.

import { deepStrictEqual } from "node:assert";
import { StreamError } from "../../lib/bytes/index.ts";
import {
  decodeState,
  encodeState,
  type StateTarget,
  stateOfArena,
  StoreDamagedError,
} from "../../lib/xenstore/index.ts";
import { arenaOfState } from "../helpers/state-arena.ts";
import { randomState } from "../helpers/random-store.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { edgy, onceIn, pick, type Random } from "./random.ts";

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
  share: 2,
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

/** Where the header ends and rows stand thickest. */
const FRONT_BYTES = 64 * 1024;

export const storeArena: Fuzzer = {
  name: "store_arena",
  share: 1,
  run(random) {
    const bytes = arenaOfState(randomState(random));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let left = random(4); left >= 0; left--) {
      const area = onceIn(random, 2) ? 4096 : Math.min(bytes.length, FRONT_BYTES);
      view.setUint32(4 * random(area / 4), edgy(random), true);
    }
    try {
      const state = stateOfArena(bytes);
      const again = encodeState(state, { format: "json", variant: "c" });
      deepStrictEqual(decodeState(again).state, state);
    } catch (error) {
      if (!(error instanceof StoreDamagedError)) throw error;
    }
  },
};
