// Randomness of the fuzzers: seeded, cheap, and fond of the values that break readers.

import { randomNumbers } from "../helpers/pieces.ts";

/** A number from 0 to below `limit`. */
export type Random = (limit: number) => number;

export const randomOf = (seed: number): Random => randomNumbers(seed);

/** The seed of one case of a run: reruns need this number alone. */
export function seedOfCase(runSeed: number, index: number): number {
  let mixed = Math.imul(runSeed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(index + 1, 0xc2b2_ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb_352d);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

export const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;

/** True once in `times`. */
export const onceIn = (random: Random, times: number): boolean => random(times) === 0;

const EDGES: readonly number[] = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  9,
  12,
  15,
  16,
  63,
  64,
  127,
  128,
  255,
  256,
  4095,
  4096,
  4097,
  65535,
  65536,
  2 ** 20,
  2 ** 27,
  2 ** 27 + 1,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 8,
  2 ** 32 - 1,
];

/** A u32: mostly one at an edge of something. */
export function edgy(random: Random): number {
  if (onceIn(random, 4)) return random(2 ** 32);
  const edge = pick(random, EDGES);
  return onceIn(random, 3) ? (edge + random(17) - 8) >>> 0 : edge;
}
