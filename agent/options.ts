// From argv to checked options: the command table says which options exist and which of them take a
// value, and the command's valibot schema says what that may be. Whatever is wrong is one
// UsageError.

import mri from "mri";
import * as v from "valibot";
import { UsageError } from "../lib/base/index.ts";
import type { CommandSpec, OptionSpec } from "./commands.ts";

/**
 * Options by name (switches as true, values as strings) and the operands under `_`, checked by
 * `schema`. Throws UsageError.
 */
export function parseOptions<S extends v.GenericSchema>(
  schema: S,
  spec: CommandSpec,
  argv: readonly string[],
): v.InferOutput<S> {
  const names = (isSwitch: boolean) =>
    spec.options
      .filter(({ value }) => (value === undefined) === isSwitch)
      .map(({ name }) => plainName(name));
  const words = canonicalWords(spec, argv);
  const given = mri(words, { boolean: names(true), string: names(false) });
  // mri tells an option that was not given as false or "".
  const known = Object.entries(given)
    .filter(([, found]) => found !== false && found !== "")
    .map(([name, found]) => [name.replace(/^not-/, "no-"), found]);
  const result = v.safeParse(schema, Object.fromEntries(known));
  if (result.success) return result.output;
  throw new UsageError(`Cannot run ${spec.name}: ${describeIssue(result.issues[0])}`);
}

/** To mri "--no-x" is x, and false. Ours are options of that name. */
const plainName = (name: string): string => name.replace(/^no-/, "not-");

/**
 * The words as mri takes them without guessing: "--name", "--name=value", and the operands behind
 * "--". The table tells which options take a value, so that -fxl is a format, -1 behind --rate its
 * value and "-" an operand, as getopt_long has it.
 */
function canonicalWords(
  { name: command, options }: CommandSpec,
  argv: readonly string[],
): string[] {
  const operands: string[] = [];
  const words = new Set<string>(); // A switch that is given twice is no mistake.
  const valued = new Set<string>();
  const wrong = (what: string) => new UsageError(`Cannot run ${command}: ${what}`);
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!; // The index is below the length.
    if (word === "--") {
      operands.push(...argv.slice(index + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
      continue;
    }
    const found = word.startsWith("--") ? longOption(word, options) : shortOptions(word, options);
    if ("unknown" in found) throw wrong(`there is no option "${found.unknown}"`);
    for (const { name } of found.switches) words.add(`--${plainName(name)}`);
    const { option } = found;
    if (option === undefined) continue;
    const { name } = option;
    if (option.value === undefined) throw wrong(`--${name} takes no value`);
    const value = found.value ?? argv[++index] ?? "";
    if (value === "") throw wrong(`--${name} needs ${option.value}`);
    if (valued.has(name)) throw wrong(`--${name} is given more than once`);
    valued.add(name);
    words.add(`--${plainName(name)}=${value}`);
  }
  return [...words, "--", ...operands];
}

type Found =
  | { readonly unknown: string }
  | {
      readonly switches: readonly OptionSpec[];
      /** One that takes a value, or was given one; without `value` the next word is it. */
      readonly option?: OptionSpec;
      readonly value?: string;
    };

/** "--json", "--format" or "--format=xl" */
function longOption(word: string, options: readonly OptionSpec[]): Found {
  const equals = word.indexOf("=");
  const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
  const option = options.find((candidate) => candidate.name === name);
  if (option === undefined) return { unknown: `--${name}` };
  if (equals !== -1) return { switches: [], option, value: word.slice(equals + 1) };
  return option.value === undefined ? { switches: [option] } : { switches: [], option };
}

/** "-q", "-qv", "-f", "-fxl" or "-qfxl" */
function shortOptions(word: string, options: readonly OptionSpec[]): Found {
  const switches: OptionSpec[] = [];
  for (let at = 1; at < word.length; at++) {
    const option = options.find(({ short }) => short === word[at]);
    if (option === undefined) return { unknown: `-${word[at]}` };
    const value = word.slice(at + 1);
    if (option.value !== undefined) {
      return value === "" ? { switches, option } : { switches, option, value };
    }
    switches.push(option);
  }
  return { switches };
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const [step] = issue.path ?? [];
  if (step?.key === "_") return `operands: ${issue.message}`;
  const isTold = typeof issue.input !== "string" || issue.message.includes("found");
  const found = isTold ? "" : `, found "${issue.input}"`;
  return `--${String(step?.key)}: ${issue.message}${found}`;
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
  v.regex(/^(1?[1-9]|10)$/, (issue) => {
    return `wanted a level from 1 to 19, found "${String(issue.input)}"`;
  }),
  v.transform(Number),
);
