// What is left of a ring's requests and answers after another program has had it: each place that
// one may have come to.

import { expect, test } from "bun:test";
import { restOfRing, type RingNow } from "../../lib/store-daemon/ring-place.ts";

const PLACE = { consumed: 1000, answersProduced: 5000, taken: 0 };
const EARLIER = [1, 1] as const;
/** From these counters on. */
const at = (released: number, produced: number, waiting = 0): RingNow => ({
  consumed: PLACE.consumed + released,
  answersProduced: PLACE.answersProduced + produced,
  waiting,
});
/** Noted in front of an answer: where the counters would stand. */
const ends = (requests: number, answers: number) =>
  [PLACE.answersProduced + answers, PLACE.consumed + requests] as const;

test("nothing has moved: everything is as it was, whatever was noted", () => {
  const part = { inputBytes: 40, outputBytes: 300 };
  for (const noted of [EARLIER, ends(0, 0), ends(20, 300)]) {
    expect(restOfRing(PLACE, part, at(0, 0), noted)).toEqual({
      ...part,
      consumed: 1000,
      taken: 0,
    });
  }
});

const CASES = {
  "some of the answers have gone": {
    part: { inputBytes: 40, outputBytes: 300, taken: 0 },
    now: at(0, 100),
    noted: ends(-40, 300),
    rest: { inputBytes: 40, outputBytes: 200, taken: 0, consumed: 1000 },
  },
  "all have, and their requests are released": {
    part: { inputBytes: 0, outputBytes: 300, taken: 30 },
    now: at(30, 300, 16),
    noted: ends(30, 300),
    rest: { inputBytes: 0, outputBytes: 0, taken: 0, consumed: 1030 },
  },
  "all have, and it ended before it released them": {
    part: { inputBytes: 0, outputBytes: 300, taken: 30 },
    now: at(0, 300, 46),
    noted: ends(30, 300),
    rest: { inputBytes: 0, outputBytes: 0, taken: 0, consumed: 1030 },
  },
  "all have, and one more was only about to go": {
    part: { inputBytes: 0, outputBytes: 300, taken: 30 },
    now: at(30, 300, 46),
    noted: ends(50, 350),
    rest: { inputBytes: 0, outputBytes: 0, taken: 0, consumed: 1030 },
  },
  "the input is carried out, and nothing stood on the ring": {
    part: { inputBytes: 40, outputBytes: 0, taken: 0 },
    now: at(0, 18),
    noted: ends(0, 18),
    rest: { inputBytes: 0, outputBytes: 0, taken: 0, consumed: 1000 },
  },
  "some of the input is": {
    part: { inputBytes: 40, outputBytes: 0, taken: 0 },
    now: at(0, 18),
    noted: ends(-22, 18),
    rest: { inputBytes: 22, outputBytes: 0, taken: 0, consumed: 1000 },
  },
  "the guest has begun anew": {
    part: { inputBytes: 40, outputBytes: 300, taken: 0 },
    now: { consumed: 16, answersProduced: 18, waiting: 0 },
    noted: EARLIER,
    rest: { inputBytes: 0, outputBytes: 0, taken: 0, consumed: 16 },
  },
  "an answer has gone in part": {
    part: { inputBytes: 0, outputBytes: 300, taken: 0 },
    now: at(0, 400, 20),
    noted: ends(20, 1400),
    rest: undefined,
  },
  "a full ring was received, and lost": {
    part: { inputBytes: 0, outputBytes: 0, taken: 0 },
    now: at(1024, 0),
    noted: ends(0, 0),
    rest: undefined,
  },
} as const;

test.each(Object.entries(CASES))("%s", (_, { part: { taken, ...part }, now, noted, rest }) => {
  expect(restOfRing({ ...PLACE, taken }, part, now, noted)).toEqual(rest);
});

test("counters that run over 2^32 are no new start", () => {
  const place = { consumed: 0xffff_fff0, answersProduced: 0xffff_ff00, taken: 16 };
  const now = { consumed: 0, answersProduced: 0x20, waiting: 0 };
  const part = { inputBytes: 0, outputBytes: 0x120 };
  expect(restOfRing(place, part, now, [0x20, 0])).toMatchObject({ taken: 0, outputBytes: 0 });
});
