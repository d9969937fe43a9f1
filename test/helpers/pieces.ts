// Feeds bytes to an incremental parser in pieces of one size.

/** Each piece is overwritten after the call: a parser must not keep what it was fed. */
export function feedPieces(
  feed: (piece: Uint8Array) => void,
  bytes: Uint8Array,
  pieceBytes: number,
): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    // Not slice: that of a Buffer shares its memory.
    const piece = new Uint8Array(bytes.subarray(at, at + pieceBytes));
    feed(piece);
    piece.fill(0xa5);
  }
}

/** A small seeded generator (mulberry32): numbers from 0 to below `limit`. */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** Runs a fuzz body with SEED from the environment or a fixed one, and names it on failure. */
export function withSeed(fixedSeed: number, body: (random: (limit: number) => number) => void) {
  const seed = Number(process.env.SEED ?? fixedSeed);
  try {
    body(randomNumbers(seed));
  } catch (error) {
    console.error(`SEED=${seed}`);
    throw error;
  }
}

/** The same as numbers from 0 to below 1. */
export function unitRandom(seed: number): () => number {
  const whole = randomNumbers(seed);
  return () => whole(2 ** 31) / 2 ** 31;
}
