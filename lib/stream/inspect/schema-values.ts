// The kinds of values that the report of inspect is made of, each with what it means.

import * as v from "valibot";

/** A whole number from 0 to below 2^53: offsets, sizes, pfns, counts and 32-bit fields. */
export const count = (what: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what));
export const ratio = (what: string) => v.pipe(v.number(), v.minValue(0), v.description(what));
export const text = (what: string) => v.pipe(v.string(), v.description(what));
export const flag = (what: string) => v.pipe(v.boolean(), v.description(what));
/** A 64-bit value that may pass 2^53: "0xffffffff81000000". */
export const hex64 = (what: string) => v.pipe(v.string(), v.description(`${what}; hex: "0x1f"`));
/** A 64-bit count that may pass 2^53: "18446744073709551615". */
export const decimal64 = (what: string) =>
  v.pipe(v.string(), v.description(`${what}; decimal digits`));
export const counts = (what: string) =>
  v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0))), v.description(what));
export const texts = (what: string) => v.pipe(v.array(v.string()), v.description(what));
