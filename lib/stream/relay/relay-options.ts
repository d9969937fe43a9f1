// What a relay is given, and what it says at its end.

import type { SeamSettings } from "../../handover/index.ts";
import type { Fd } from "../../sys/index.ts";
import type { Format } from "../detect.ts";
import type { Capture } from "./capture.ts";
import type { End } from "./channel-options.ts";
import type { MessageGate } from "./message-gate.ts";
import type { RelayState } from "./relay-state.ts";
import type { RelayReport } from "./report.ts";

export type OnError = "pass" | "cut";

/** An end that can be let go of: whoever has the other side then sees it. */
export interface OwnedEnd extends End {
  /** "new_file": it appears when the stream is over; nobody else can go on with it. */
  readonly how: "inherited" | "owned" | "new_file";
  letGo(): void;
}

export interface RelayOptions {
  readonly source: OwnedEnd;
  readonly target: OwnedEnd;
  /** The receiver's words, and where they go. */
  readonly back: { readonly from: OwnedEnd; readonly to: OwnedEnd } | undefined;
  readonly format: Format | undefined;
  readonly onError: OnError;
  /** Keep at most so many findings; all are counted. */
  readonly limit: number;
  readonly rate: number | undefined;
  readonly capture: Capture | undefined;
  /** Path of the control socket. */
  readonly control: string | undefined;
  readonly lifeline: SupervisorLine | undefined;
  readonly isExact: boolean;
  /** A save helper's stream: see WalkOptions. */
  readonly tailsElsewhere: boolean;
  readonly gate: MessageGate | undefined;
  /** The gate's ends that are still open, by role. */
  readonly gateEnds?: () => ReadonlyMap<string, OwnedEnd>;
  readonly onProgress: (position: number) => void;
  /** What it takes to be replaced on the way; undefined: it cannot be. */
  readonly settings?: SeamSettings | undefined;
}

/** What another program has done already, where this one goes on. */
export interface CarriedRelay {
  readonly state: RelayState;
  readonly take: (key: string) => Fd;
}

export interface SupervisorLine {
  readonly fd: Fd;
  readonly onStatus: (report: RelayReport) => void;
  readonly onOrphaned: () => void;
}

export interface RelayResult {
  readonly report: RelayReport;
  /** Our own mistake, met on the way: the stream was passed on all the same where that can be. */
  readonly bug: unknown;
}
