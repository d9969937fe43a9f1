// What a relay's forward direction is given, and what it gives to another program.

import type { FileKind, Fd, Pipe } from "../../sys/index.ts";
import type { Capture } from "./capture.ts";
import type { Pump } from "./pump.ts";

export interface End {
  readonly fd: Fd;
  readonly kind: FileKind;
}

export interface ChannelOptions {
  readonly source: End;
  readonly target: End;
  readonly pump: Pump;
  readonly capture: Capture | undefined;
  /** Bytes a second; undefined for no limit. */
  readonly rate: number | undefined;
  /** Whether the source may be read now; undefined: always. */
  readonly mayRead: (() => boolean) | undefined;
  /** Of another program before this one. */
  readonly carried: CarriedChannel | undefined;
}

/** What a channel has moved, and the pipe in its middle with what is in it. */
export interface ChannelState {
  readonly takenBytes: number;
  readonly deliveredBytes: number;
  readonly sourceWaitMs: number;
  readonly targetWaitMs: number;
  readonly middleBytes: number;
  readonly copiedBytes: number;
  readonly canSpliceIn: boolean;
  readonly canSpliceOut: boolean;
  readonly canGoDirect: boolean;
}
export interface CarriedChannel {
  readonly state: ChannelState;
  readonly middle: Pipe;
}

export type Side = "source" | "target";
