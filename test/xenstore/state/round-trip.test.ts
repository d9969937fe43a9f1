// Random states through every codec: what is not reported as lost comes back, and a dump that was
// read gives the same dump again.

import { describe, expect, test } from "bun:test";
import {
  decodeState,
  encodeState,
  losses,
  STATE_FORMATS,
  type StateTarget,
  type StoreState,
  STREAM_VARIANTS,
} from "../../../lib/xenstore/state/index.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { plainState, randomState } from "../../helpers/random-store.ts";

const CASES = 300;
const TARGETS: readonly StateTarget[] = STATE_FORMATS.flatMap((format) =>
  STREAM_VARIANTS.map((variant) => ({ format, variant })),
).filter(({ format, variant }) => format.startsWith("stream") || variant === "c");

/** Text has no ids, and rings stand before sockets there. */
const comparable = (state: StoreState, { format }: StateTarget): StoreState => {
  if (format !== "text") return state;
  const kinds = ["ring", "socket"] as const;
  const connections = kinds.flatMap((kind) =>
    state.connections.filter(({ channel }) => channel.kind === kind),
  );
  return { ...state, connections: connections.map((one, index) => ({ ...one, id: index + 1 })) };
};

describe("any state", () => {
  test.each(TARGETS.map((target) => [`${target.format}, ${target.variant}`, target] as const))(
    "%s",
    (_, target) => {
      withSeed(7, (random) => {
        for (let index = 0; index < CASES; index++) {
          const state = randomState(random);
          const bytes = encodeState(state, target);
          const { state: again, format } = decodeState(bytes);
          expect(format).toBe(target.format);
          if (losses(state, target).length === 0) {
            expect(again).toEqual(comparable(state, target));
          }
          expect(decodeState(encodeState(again, target)).state).toEqual(again);
          expect(encodeState(again, target)).toEqual(bytes);
        }
      });
    },
  );

  test.each(TARGETS.map((target) => [`${target.format}, ${target.variant}`, target] as const))(
    "%s: without its oddities it comes back whole, and nothing is said to be lost",
    (_, target) => {
      withSeed(9, (random) => {
        for (let index = 0; index < CASES; index++) {
          const state = plainState(randomState(random), { isText: target.format === "text" });
          expect(losses(state, target)).toEqual([]);
          const again = decodeState(encodeState(state, target)).state;
          expect(again).toEqual(comparable(state, target));
        }
      });
    },
  );

  test("comes back from JSON through any other format that loses nothing of it", () => {
    withSeed(8, (random) => {
      for (let index = 0; index < CASES; index++) {
        const target = TARGETS[random(TARGETS.length)]!;
        const carried = decodeState(encodeState(randomState(random), target)).state;
        const json = encodeState(carried, { format: "json", variant: "c" });
        expect(decodeState(json).state).toEqual(carried);
      }
    });
  });
});
