// Where a ring stood when its program stopped, and what is left to do of what that one had in part.
//
// Theory of Operation. Requests stay on the ring until they are answered, also through a handover:
// only what no longer stands there goes over as bytes. Of requests that were carried out, whose
// answers go over, the new program knows by `taken` that they are behind it. So it begins with the
// counters as they are, and whoever goes on without it finds them as they were, or sees by them how
// far it came: the old program, the keeper of an update in place.
//
//   requests   ...|input, off the ring|taken|not received|       a stream, counted modulo 2^32
//                                     consumed
//
// How far a program came that had served is told by the counters, and by the ends that it noted in
// front of each of its answers (XenStore.ringEnds): where both would stand once that had gone. What
// cannot be told is not guessed: answers out of step are worse for a guest than none.

/** Those that are ours to write, unsigned. */
export interface RingCounters {
  readonly consumed: number;
  readonly answersProduced: number;
}

/** While its program is paused. */
export interface RingPlace extends RingCounters {
  /** Bytes of requests from `consumed` on whose answers are in the output. */
  readonly taken: number;
}

/** The counters by now, and how many bytes of requests stand there. */
export interface RingNow extends RingCounters {
  readonly waiting: number;
}

/** What is in other hands than the ring's. */
export interface RingPart {
  /** Bytes of requests in front of `consumed`. */
  readonly inputBytes: number;
  /** Bytes of answers behind `answersProduced`. */
  readonly outputBytes: number;
}

/** What of that is left, and where the ring goes on. */
export interface RingRest extends RingPart {
  readonly consumed: number;
  readonly taken: number;
}

/** Somebody has served it since; or the guest lies. */
export const hasMoved = (from: RingCounters, to: RingCounters): boolean =>
  from.consumed !== to.consumed || from.answersProduced !== to.answersProduced;

/** undefined: it cannot be told. Another program may have served in between, or the guest lies. */
export function restOfRing(
  place: RingPlace,
  part: RingPart,
  now: RingNow,
  [answersEnd, requestsEnd]: readonly [answersEnd: number, requestsEnd: number],
): RingRest | undefined {
  const { consumed } = now;
  const { inputBytes, outputBytes } = part;
  const produced = (now.answersProduced - place.answersProduced) | 0;
  const released = (consumed - place.consumed) | 0;
  if (!hasMoved(place, now)) return { ...part, consumed, taken: place.taken };
  // The guest has begun anew, with counters of 0.
  if (produced < 0 || released < 0) return { consumed, ...NOTHING };
  if (produced >= outputBytes && now.answersProduced === answersEnd) {
    const left = (consumed - requestsEnd) | 0; // Of requests received off the ring.
    if (left <= 0) {
      return -left <= now.waiting ? { consumed: requestsEnd, ...NOTHING } : undefined;
    }
    const isKept = released === 0 && left <= inputBytes;
    return isKept ? { consumed, ...NOTHING, inputBytes: left } : undefined;
  }
  if (produced > outputBytes) return undefined; // An answer has gone in part.
  const rest = { consumed, inputBytes, outputBytes: outputBytes - produced };
  if (released === 0) return { ...rest, taken: place.taken };
  return released === place.taken ? { ...rest, taken: 0 } : undefined;
}

const NOTHING = { taken: 0, inputBytes: 0, outputBytes: 0 } as const;
