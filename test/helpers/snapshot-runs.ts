// Snapshot operations of the library with the options that most tests want.

import { join } from "node:path";
import {
  createGroup,
  type CreateOptions,
  deleteGroup,
  type DeleteOptions,
  groupFromWords,
  listGroup,
  revertGroup,
  type RevertOptions,
} from "../../lib/snapshot/index.ts";
import { describeProblem, type Outcome } from "../../lib/transition/index.ts";
import { LIMITS } from "./disk-guest.ts";
import { createOptions } from "./group-samples.ts";

export interface Runs {
  create(words: readonly string[], snapshot: string, more?: Partial<CreateOptions>): Promise<Ran>;
  delete(words: readonly string[], snapshot: string, more?: Partial<DeleteOptions>): Promise<Ran>;
  revert(words: readonly string[], snapshot: string, more?: Partial<RevertOptions>): Promise<Ran>;
  list(words: readonly string[]): ReturnType<typeof listGroup>;
}

export interface Ran {
  readonly result: Outcome["result"];
  readonly problems: readonly string[];
}

const ran = ({ outcome }: { readonly outcome: Outcome }): Ran => ({
  result: outcome.result,
  problems: outcome.problems.map(describeProblem),
});

export const DONE: Ran = { result: "done", problems: [] };

/** Journals stand beside the folder's images. */
export function runsIn(folder: string): Runs {
  const around = { limits: LIMITS, journals: join(folder, "journals"), interrupt: undefined };
  const shared = { config: undefined, nowMs: Date.now() };
  return {
    async create(words, snapshot, more) {
      const options = createOptions({ ...shared, snapshot, ...more });
      return ran(await createGroup(groupFromWords(words), options, around));
    },
    async delete(words, snapshot, more) {
      const base = { ...shared, snapshot, id: undefined };
      const options: DeleteOptions = { ...base, kind: "external", merge: "commit", ...more };
      return ran(await deleteGroup(groupFromWords(words), options, around));
    },
    async revert(words, snapshot, more) {
      const base = { snapshot, folder: undefined, memory: undefined, nowMs: shared.nowMs };
      const options: RevertOptions = { ...base, kind: "external", ...more };
      return ran(await revertGroup(groupFromWords(words), options, around));
    },
    list: (words) => listGroup(groupFromWords(words), LIMITS),
  };
}
