// Options as getopt_long(3) takes them: for names that stand in for C programs. Long names may be
// cut short, short ones joined, words without a dash stand anywhere, and an option may come twice.

import { UsageError } from "../../../lib/base/index.ts";

export interface GetoptOption {
  readonly name?: string;
  readonly short?: string;
  /** An optional value stands in the same word. */
  readonly value: "none" | "required" | "optional";
}

export interface Given<O extends GetoptOption> {
  readonly option: O;
  /** undefined for one that has none. */
  readonly value: string | undefined;
}

export interface Parsed<O extends GetoptOption> {
  readonly given: readonly Given<O>[];
  readonly operands: readonly string[];
}

/** Throws UsageError in the name of the program. */
export function getopt<O extends GetoptOption>(
  program: string,
  options: readonly O[],
  words: readonly string[],
): Parsed<O> {
  const given: Given<O>[] = [];
  const operands: string[] = [];
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      operands.push(...rest);
      break;
    }
    if (word.startsWith("--")) given.push(longOption(program, options, word, rest));
    else if (word.startsWith("-") && word !== "-") {
      given.push(...shortOptions(program, options, word, rest));
    } else operands.push(word);
  }
  return { given, operands };
}

function longOption<O extends GetoptOption>(
  program: string,
  options: readonly O[],
  word: string,
  rest: string[],
): Given<O> {
  const [, name = "", , value] = /^--([^=]*)(=(.*))?$/s.exec(word) ?? [];
  const exact = options.find((option) => option.name === name);
  const near = options.filter((option) => option.name?.startsWith(name));
  const option = exact ?? (near.length === 1 ? near[0] : undefined);
  if (option === undefined) {
    const why = near.length > 1 ? "is ambiguous" : "is unknown";
    throw new UsageError(`Cannot run ${program}: the option "--${name}" ${why}`);
  }
  if (option.value === "none" && value !== undefined) {
    throw new UsageError(`Cannot run ${program}: --${option.name} takes no value`);
  }
  return withValue(program, option, `--${option.name}`, { value, rest });
}

function shortOptions<O extends GetoptOption>(
  program: string,
  options: readonly O[],
  word: string,
  rest: string[],
): Given<O>[] {
  const given: Given<O>[] = [];
  for (let at = 1; at < word.length; at++) {
    const option = options.find(({ short }) => short === word[at]);
    if (option === undefined) {
      throw new UsageError(`Cannot run ${program}: the option "-${word[at]}" is unknown`);
    }
    if (option.value === "none") {
      given.push({ option, value: undefined });
      continue;
    }
    const value = at + 1 < word.length ? word.slice(at + 1) : undefined;
    given.push(withValue(program, option, `-${word[at]}`, { value, rest }));
    break;
  }
  return given;
}

function withValue<O extends GetoptOption>(
  program: string,
  option: O,
  spelled: string,
  { value, rest }: { readonly value: string | undefined; readonly rest: string[] },
): Given<O> {
  if (option.value !== "required" || value !== undefined) return { option, value };
  const next = rest.shift();
  if (next === undefined) throw new UsageError(`Cannot run ${program}: ${spelled} needs a value`);
  return { option, value: next };
}
