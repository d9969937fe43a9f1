// What an heir is told, and what it has or inherits on the way.

import type { Fd } from "../sys/index.ts";
import type { Channel } from "./channel.ts";
import type { Final } from "./final-file.ts";
import type { SharedPage } from "./shared-page.ts";
import type { Heir, Heirs, Survivor } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

export interface HeirOptions {
  readonly channel: Fd;
  readonly waiter: Waiter;
  readonly heirs: Heirs;
  /** For messages: "agent 0.1.0 (...)". */
  readonly version: string;
  /** It serves. The survivor may be replaced in its turn once `isOver`. */
  readonly onServing: (survivor: Survivor, generation: number) => void;
  /** Nothing was served and nothing will be: end this process. In place: step back. */
  readonly onGivenUp: (reason: string) => void;
  /** Everything was handed to this process as the keeper. */
  readonly onGuard: ((guarded: Guarded) => void) | undefined;
}

/** What a keeper has. It owns all of it. */
export interface Guarded {
  readonly channel: Channel;
  readonly final: Final;
  readonly page: SharedPage;
  readonly descriptors: ReadonlyMap<string, Fd>;
  readonly heir: Heir;
  /** Of the program that has served so far; undefined where nobody could tell. */
  readonly oomScore: number | undefined;
}

/** What a program that was executed in place has inherited. */
export interface Inherited {
  readonly final: Final;
  readonly page: SharedPage;
  readonly descriptors: ReadonlyMap<string, Fd>;
  readonly keeperPid: number;
  /** The new program refused the state, and this is the old one back: why. */
  readonly steppedBack: string | undefined;
  /** Whether there is an old program to step back to. */
  readonly canStepBack: boolean;
  /** There is no way back any more: what was kept for it can be closed. */
  readonly onServing: () => void;
}
