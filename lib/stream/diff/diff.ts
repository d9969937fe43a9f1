// diff: two streams of any of the current formats, compared by the states that they end in.
//
// Each stream is surveyed and indexed on its own: of A the place of every page (6 bytes a pfn), of
// B the number of the last entry (4 bytes a pfn). A last walk over B then compares contents.

import { assert } from "../../base/index.ts";
import type { Format } from "../detect.ts";
import {
  Chooser,
  indexOrdinal,
  type PageEntry,
  passOver,
  type Survey,
  surveyInput,
} from "../final/index.ts";
import type { StoredInput } from "../input/index.ts";
import { DOMAIN_PV } from "../libxc/index.ts";
import { PageIndex } from "../page-index.ts";
import { compareFacts } from "./compare-facts.ts";
import { Facts } from "./facts.ts";
import { hintsOf } from "./hints.ts";
import { indexPlace, PageComparison, type TypeCounts, typeName } from "./page-comparison.ts";
import type { DiffReport } from "./report.ts";
import { addStateFacts } from "./state-facts.ts";
import { StateReader } from "./state-reader.ts";

export interface SideOptions {
  readonly format: Format | undefined;
  /** The checkpoint that counts; undefined for the last, and of a plain stream its end. */
  readonly at: number | undefined;
  /** Told of the walk that reads the input first, where it is spooled. */
  readonly onSpooled: (position: number) => void;
}

/** One of the two streams, ready to be compared. */
export interface Side {
  readonly input: StoredInput;
  readonly found: Survey;
  readonly chooser: Chooser;
  readonly facts: Facts;
  readonly index: PageIndex;
  /** Where contents stand, modulo 8: an image begins at any byte. */
  readonly slack: number;
}

const SILENT = () => undefined;

/** Reads A. Throws StreamError, RefusedError and SystemError. */
export const readSideA = (input: StoredInput, options: SideOptions): Promise<Side> =>
  readSide(input, options, { index: new PageIndex("u48"), add: indexPlace });

/** Reads B. */
export const readSideB = (input: StoredInput, options: SideOptions): Promise<Side> =>
  readSide(input, options, { index: new PageIndex("u32"), add: indexOrdinal });

async function readSide(
  input: StoredInput,
  { format, at, onSpooled }: SideOptions,
  pages: {
    readonly index: PageIndex;
    add(index: PageIndex, entry: PageEntry, cannot: string): void;
  },
): Promise<Side> {
  const onProgress = input.isSpooled ? onSpooled : SILENT;
  const found = await surveyInput(input, { format, at, verb: "compare", onProgress });
  const { index } = pages;
  const cannot = `Cannot compare "${input.name}"`;
  let slack = 0;
  const chooser = new Chooser((entry) => {
    slack = entry.contentsOffset % 8;
    pages.add(index, entry, cannot);
  });
  passOver(input, found, { visitor: chooser, onProgress: SILENT });
  const facts = new Facts();
  const reader = new StateReader(chooser, facts);
  passOver(input, found, { visitor: reader, onProgress: SILENT });
  addStateFacts(facts, reader.guest, input);
  return { input, found, chooser, facts, index, slack };
}

/** `onCompared` is told of offsets in B. */
export function compareSides(
  a: Side,
  b: Side,
  { onCompared }: { readonly onCompared: (position: number) => void },
): DiffReport {
  const state = compareFacts(a.facts, b.facts);
  using comparison = new PageComparison({
    a: a.input,
    b: b.input,
    places: a.index,
    slack: a.slack,
    ordinals: b.index,
  });
  passOver(b.input, b.found, { visitor: comparison, onProgress: onCompared });
  comparison.finish();
  const pages = pagesOf(comparison);
  const compared = {
    a: sideOf(a),
    b: sideOf(b),
    pages,
    state: state.differences,
    state_left_off: state.leftOff,
    not_compared: state.notCompared,
  };
  const { same } = pages;
  const isSame = state.differences.length + state.leftOff === 0;
  return {
    ...compared,
    same: isSame && same === pages.a && same === pages.b,
    hints: hintsOf(compared),
  };
}

function sideOf({ input, found, chooser }: Side): DiffReport["a"] {
  const { image } = chooser;
  assert(image, "a stream that was walked to its end has an image");
  return {
    input: input.name,
    format: found.format,
    compression: input.compression ?? null,
    kind: found.kind,
    checkpoint: found.checkpoint ?? null,
    checkpoints: found.checkpoints,
    guest_type: image.domainType === DOMAIN_PV ? "pv" : "hvm",
    xen: image.xen ?? null,
    libxc_version: image.version,
  };
}

const COUNTS = ["a", "b", "same", "changed", "retyped", "added", "gone"] as const;

function pagesOf(comparison: PageComparison): DiffReport["pages"] {
  const row = (countOf: (counts: TypeCounts) => number) => {
    const values = COUNTS.map((name) => [name, countOf(comparison[name])]);
    return Object.fromEntries(values) as Record<(typeof COUNTS)[number], number>;
  };
  const types = [...comparison.a.keys()].filter((type) =>
    COUNTS.some((name) => comparison[name][type]! > 0),
  );
  const retypes = [...comparison.retypes.entries()].filter(([, count]) => count > 0);
  return {
    ...row((counts) => counts.reduce((sum, count) => sum + count, 0)),
    by_type: types.map((type) => ({
      type: typeName(type),
      ...row((counts) => counts[type]!),
    })),
    retypes: retypes.map(([pair, count]) => ({
      from: typeName(Math.floor(pair / 16)),
      to: typeName(pair % 16),
      count,
    })),
    runs: comparison.runs.map(({ change, first, last }) => ({
      change,
      first_pfn: first,
      last_pfn: last,
    })),
    runs_left_off: comparison.runsLeftOff,
  };
}
