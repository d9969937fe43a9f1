// What a holder is told, and how it ends.

import type { Fd } from "../sys/index.ts";
import type { FinalHead } from "./final-file.ts";
import type { Launched } from "./launch.ts";
import type { SharedPage } from "./shared-page.ts";
import type { Survivor, UpdateReport, Way } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

export const TIMES_MS = {
  /** A slice of copying between two turns of the loop. */
  copySlice: 1,
  /** How long a killed heir is waited for before it counts as stuck inside the kernel. */
  death: 2000,
  /** A message there and one back, and the calls around: what a pause takes beside the copy. */
  exchange: 2,
  /** Between the trial of the pause and the pause: a few turns of the loop. */
  rest: 3,
} as const;

/** What the heir is for. */
export type Goal =
  /** To serve. */
  | "promote"
  /** To check the copy, and to be dismissed: a dry run, or before an exec in place. */
  | "rehearse"
  /** To keep everything while this process becomes another program: see in-place.ts. */
  | "keep";

export interface HolderOptions {
  readonly goal: Goal;
  readonly way: Way;
  readonly survivor: Survivor;
  readonly waiter: Waiter;
  readonly launched: Launched;
  /** The generation that begins with this update. */
  readonly generation: number;
  readonly binary: string;
  readonly prepareMs: number;
  /** How long the heir may take from the pause to its first served request. */
  readonly pauseMs: number;
  /** Refuse where the pause is predicted to be longer. */
  readonly pauseMsMax: number | undefined;
  /** Of an earlier step of the same update. */
  readonly known: Pick<UpdateReport, "sha256" | "version" | "phases_ms"> | undefined;
  /** Goal "keep": the keeper has everything. Becomes the other program, or throws. */
  readonly becomeProgram: ((handed: Handed) => never) | undefined;
  readonly onEnd: (end: HolderEnd) => void;
}

/** What an exec in place takes along. */
export interface Handed {
  readonly channelNumber: number;
  readonly final: Fd;
  readonly page: SharedPage;
  readonly head: FinalHead;
  readonly keeperPid: number;
}

export type HolderEnd =
  /** The heir, a process of that number, serves; the survivor was told to leave. */
  | { readonly kind: "left"; readonly report: UpdateReport; readonly pid: number }
  | { readonly kind: "rehearsed"; readonly report: UpdateReport }
  | { readonly kind: "failed"; readonly reason: string; readonly report: UpdateReport };
