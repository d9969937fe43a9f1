// Two sides' facts against each other: group by group, name by name.

import { bitNames, FEATURE_REGISTERS } from "../inspect/index.ts";
import { CONTENTS, type Facts, type Group } from "./facts.ts";
import type { DiffReport, StateDifference } from "./report.ts";
import { cpuidLeafName, GROUP } from "./state-facts.ts";
import { METADATA_RECORD } from "./state-reader.ts";

/** Told one by one; further ones are counted. */
const DIFFERENCES_MAX = 5000;

/** What only some formats and versions carry: where one side has none, nothing is compared. */
const CARRIED: readonly string[] = [
  GROUP.cpuid,
  GROUP.msrs,
  GROUP.config,
  GROUP.xenstore,
  GROUP.guestXenstore,
  METADATA_RECORD,
];
/** Whose groups stand first: what decides whether a guest can be restored. */
const ORDER: readonly string[] = [
  GROUP.guest,
  GROUP.cpuid,
  GROUP.msrs,
  GROUP.config,
  GROUP.emulator,
  GROUP.device,
  GROUP.hvmParams,
  GROUP.tsc,
  GROUP.vcpu,
];

export interface StateComparison {
  readonly differences: StateDifference[];
  readonly leftOff: number;
  readonly notCompared: DiffReport["not_compared"];
}

export function compareFacts(a: Facts, b: Facts): StateComparison {
  const names = [...new Set([...a.names, ...b.names])];
  names.sort((left, right) => rankOf(left) - rankOf(right) || collator.compare(left, right));
  const all: StateDifference[] = [];
  const notCompared: StateComparison["notCompared"] = [];
  let leftOff = a.leftOff + b.leftOff;
  for (const name of names) {
    const [left, right] = [a.group(name), b.group(name)];
    if (CARRIED.includes(name) && (left === undefined || right === undefined)) {
      notCompared.push({ what: name, why: `${left === undefined ? "A" : "B"} has none` });
      continue;
    }
    for (const difference of compareGroup(name, left ?? NOTHING, right ?? NOTHING)) {
      if (all.length < DIFFERENCES_MAX) all.push(difference);
      else leftOff++;
    }
  }
  return { differences: all, leftOff, notCompared };
}

const NOTHING: Group = new Map();
const collator = new Intl.Collator("en", { numeric: true });

function rankOf(group: string): number {
  const rank = ORDER.findIndex((start) => group.startsWith(start));
  return rank === -1 ? ORDER.length : rank;
}

function compareGroup(group: string, a: Group, b: Group): StateDifference[] {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  const rows = names
    .filter((name) => a.get(name) !== b.get(name))
    .map((name) => difference(group, name, [a.get(name) ?? null, b.get(name) ?? null]));
  // Where something with a name differs, that the bytes around it differ says nothing more.
  const named = rows.filter(({ name }) => name !== CONTENTS);
  return named.length > 0 ? named : rows;
}

function difference(
  group: string,
  name: string,
  [a, b]: readonly [string | null, string | null],
): StateDifference {
  const plain = { group, name, a, b, only_a: [], only_b: [] };
  if (group !== GROUP.cpuid) return plain;
  const names = FEATURE_NAMES.get(name);
  if (names === undefined) return plain;
  const [left, right] = [BigInt(a ?? 0), BigInt(b ?? 0)];
  return {
    ...plain,
    only_a: bitNames(left & ~right, names),
    only_b: bitNames(right & ~left, names),
  };
}

/** Under both names that a leaf without subleaves may have. */
const FEATURE_NAMES: ReadonlyMap<string, ReadonlyMap<number, string>> = new Map(
  FEATURE_REGISTERS.flatMap(({ leaf, subleaf, register, names }) => {
    const subleaves = subleaf === 0 ? [null, 0] : [subleaf];
    return subleaves.map((sub) => [`${cpuidLeafName(leaf, sub)} ${register}`, names] as const);
  }),
);
