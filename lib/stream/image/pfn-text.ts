// A batch's pfn list as text, a run of consecutive pfns of one type an entry: "0x10-0x1f NOTAB".
// Only lists that come out the same again are put so; others stay bytes.

import { hex } from "../../base/index.ts";
import { LEGACY_PFN_MASK, LEGACY_TYPE_SHIFT } from "../legacy/index.ts";
import { PAGE_TYPES, pfnOf, RESERVED_HIGH_MASK, TYPE_SHIFT } from "../libxc/index.ts";
import type { PfnList } from "../walk/index.ts";

const PFN_END = 2 ** 52;
const WORD = 2 ** 32;
const RUN = /^(0x[0-9a-f]{1,13})(?:-(0x[0-9a-f]{1,13}))? (.{1,20})$/;
const TYPE_BY_NAME = new Map(
  PAGE_TYPES.flatMap(({ name, known }, type) => (known ? [[name, type] as const] : [])),
);

/** How the entries of a list are coded. */
export type EntryCoding =
  /** u64: the type in bits 63..60, the pfn in 51..0. */
  | "libxc"
  /** ulong of 4 or 8 bytes: the type in bits 31..28, the pfn in 27..0. */
  | "legacy 4"
  | "legacy 8";

export interface PfnText {
  readonly runs: string[];
  /** Entries whose contents stand in the stream. */
  readonly dataPages: number;
}

export interface PfnEntries {
  readonly words: Uint32Array;
  readonly dataPages: number;
}

/** undefined: it has something that the text could not say. */
export function pfnText(list: PfnList, isLegacy: boolean): PfnText | undefined {
  const { words, wordsPerPfn, count } = list;
  const runs: string[] = [];
  let [first, next, type, dataPages] = [0, -1, -1, 0];
  for (let index = 0; index < count; index++) {
    const low = words[index * wordsPerPfn]!;
    const high = wordsPerPfn === 2 ? words[index * 2 + 1]! : 0;
    if (isLegacy ? high !== 0 : (high & RESERVED_HIGH_MASK) !== 0) return undefined;
    const pfn = isLegacy ? low & LEGACY_PFN_MASK : pfnOf(low, high);
    const pfnType = isLegacy ? low >>> LEGACY_TYPE_SHIFT : high >>> TYPE_SHIFT;
    if (PAGE_TYPES[pfnType]!.hasData) dataPages++;
    if (pfn === next && pfnType === type) {
      next++;
      continue;
    }
    if (type !== -1) runs.push(runText(first, next - 1, type));
    if (!PAGE_TYPES[pfnType]!.known) return undefined;
    [first, next, type] = [pfn, pfn + 1, pfnType];
  }
  if (type !== -1) runs.push(runText(first, next - 1, type));
  return { runs, dataPages };
}

function runText(first: number, last: number, type: number): string {
  const range = first === last ? hex(first) : `${hex(first)}-${hex(last)}`;
  return `${range} ${PAGE_TYPES[type]!.name}`;
}

export interface Run {
  readonly first: number;
  readonly last: number;
  readonly type: number;
}

/** A run, or undefined where the text says none. */
export function parseRun(text: string): Run | undefined {
  const [, firstText, lastText = firstText, name = ""] = RUN.exec(text) ?? [];
  const type = TYPE_BY_NAME.get(name);
  if (firstText === undefined || type === undefined) return undefined;
  const [first, last] = [Number(firstText), Number(lastText)];
  return last < first || last >= PFN_END ? undefined : { first, last, type };
}

/** The entries of a list, at most `countMax`; the run that is wrong where there is one. */
export function pfnEntries(
  runs: readonly string[],
  coding: EntryCoding,
  countMax: number,
): PfnEntries | { readonly wrong: string; readonly expected: string } {
  const parsed: Run[] = [];
  let count = 0;
  for (const text of runs) {
    const run = parseRun(text);
    if (run === undefined) return { wrong: text, expected: 'pfns and a type: "0x10-0x1f NOTAB"' };
    if (coding !== "libxc" && run.last > LEGACY_PFN_MASK) {
      return { wrong: text, expected: "pfns of 28 bits" };
    }
    count += run.last - run.first + 1;
    if (count > countMax) return { wrong: text, expected: `at most ${countMax} pfns in a batch` };
    parsed.push(run);
  }
  const wordsPerPfn = coding === "legacy 4" ? 1 : 2;
  const words = new Uint32Array(count * wordsPerPfn);
  let [index, dataPages] = [0, 0];
  for (const { first, last, type } of parsed) {
    if (PAGE_TYPES[type]!.hasData) dataPages += last - first + 1;
    for (let pfn = first; pfn <= last; pfn++, index++) {
      if (coding === "libxc") {
        words[index * 2] = pfn % WORD;
        words[index * 2 + 1] = Math.floor(pfn / WORD) + type * 2 ** TYPE_SHIFT;
      } else {
        words[index * wordsPerPfn] = pfn + type * 2 ** LEGACY_TYPE_SHIFT;
      }
    }
  }
  return { words, dataPages };
}
