// From argv to checked options: mri splits the words, the command table says which options exist,
// and the command's valibot schema says what their values may be. Whatever is wrong is one
// UsageError.

import mri from "mri";
import * as v from "valibot";
import { UsageError } from "../lib/base/index.ts";
import type { CommandSpec } from "./commands.ts";

/**
 * mri takes a lone "-" for an option and eats the word behind it, so it travels under this name.
 */
const STANDARD_INPUT_WORD = "\0standard-input";

/**
 * Options by name (switches as true, values as strings) and the operands under `_`, checked by
 * `schema`. Throws UsageError.
 */
export function parseOptions<S extends v.GenericSchema>(
  schema: S,
  spec: CommandSpec,
  argv: readonly string[],
): v.InferOutput<S> {
  const words = argv.map((word) => (word === "-" ? STANDARD_INPUT_WORD : word));
  // Every option has an entry: what has none counts as unknown to mri.
  const alias: Record<string, string[]> = {};
  for (const { name, short } of spec.options) alias[name] = short === undefined ? [] : [short];
  const parsed: Record<string, unknown> & { _: string[] } = mri(words, {
    alias,
    boolean: spec.options.filter((option) => option.value === undefined).map(({ name }) => name),
    string: spec.options.filter((option) => option.value !== undefined).map(({ name }) => name),
    unknown: (word) => {
      throw new UsageError(`Cannot run ${spec.name}: there is no option "${word}"`);
    },
  });
  const operands = parsed._.map((word) => (word === STANDARD_INPUT_WORD ? "-" : String(word)));
  const given: Record<string, unknown> = { _: operands };
  for (const { name, value } of spec.options) {
    const found = parsed[name];
    if (found === undefined || found === false || (value !== undefined && found === "")) {
      if (found === "") throw new UsageError(`Cannot run ${spec.name}: --${name} needs ${value}`);
      continue;
    }
    given[name] = found === STANDARD_INPUT_WORD ? "-" : found;
  }
  const result = v.safeParse(schema, given);
  if (result.success) return result.output;
  throw new UsageError(`Cannot run ${spec.name}: ${describeIssue(result.issues[0])}`);
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const [step] = issue.path ?? [];
  const name = step?.key === "_" ? "operands" : `--${String(step?.key)}`;
  if (step !== undefined && step.key !== "_" && Array.isArray(issue.input)) {
    return `${name} is given more than once`;
  }
  return `${name}: ${issue.message}`;
}

// ---- Values that several commands take -------------------------------------------------------

const SIZE_UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** "64M", "1.5G" or "4096" as a number of bytes. */
export const sizeOption = v.pipe(
  v.string("wanted a size such as 64M"),
  v.regex(/^[0-9]+(\.[0-9]+)?[KMG]?$/i, (issue) => {
    return `wanted a size such as 64M, found "${String(issue.input)}"`;
  }),
  v.transform((text) => {
    const unit = SIZE_UNITS[text.slice(-1).toUpperCase()] ?? 1;
    return Math.floor(Number.parseFloat(text) * unit);
  }),
  v.minValue(1, "wanted at least 1 byte"),
);

/** A whole number of at least 1. */
export const countOption = v.pipe(
  v.string("wanted a whole number"),
  v.regex(/^[1-9][0-9]{0,8}$/, (issue) => {
    return `wanted a whole number of at least 1, found "${String(issue.input)}"`;
  }),
  v.transform(Number),
);

export const switchOption = v.optional(v.boolean(), false);

/** An offset in bytes, from 0. */
export const offsetOption = v.pipe(
  v.string("wanted an offset in bytes"),
  v.regex(/^[0-9]{1,15}$/, (issue) => `wanted an offset in bytes, found "${String(issue.input)}"`),
  v.transform(Number),
);

/** zstd's levels. */
export const levelOption = v.pipe(
  v.string("wanted a level from 1 to 19"),
  v.regex(/^(1?[1-9]|10)$/, (issue) => `wanted a level from 1 to 19, found "${String(issue.input)}"`),
  v.transform(Number),
);
