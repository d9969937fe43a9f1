// A relay that goes on where another program was, between two records: with the same descriptors
// and the pipe in its middle, the bytes that were read and not passed on, and the checks as they
// stood.

import { RefusedError } from "../../base/index.ts";
import { type Claimed, continueAtSeam, type SeamSettings } from "../../handover/index.ts";
import { type Fd, openNull } from "../../sys/index.ts";
import { Capture } from "./capture.ts";
import { carriedEnd, ownEnd } from "./open-ends.ts";
import { Relay } from "./relay.ts";
import type { OwnedEnd, RelayOptions, RelayResult } from "./relay-options.ts";
import {
  decodeRelayState,
  RELAY_KIND,
  RELAY_STATE_VERSION,
  type RelayState,
} from "./relay-state.ts";

/** What another program's relay had, for the same options as it was given. */
export class CarriedEnds {
  private readonly state: RelayState;
  private readonly take: (key: string) => Fd;

  constructor(state: RelayState, take: (key: string) => Fd) {
    this.state = state;
    this.take = take;
  }

  has(key: string): boolean {
    return this.state.ends[key] !== undefined;
  }

  /** Throws RefusedError where it was let go of. */
  end(key: string, role: "source" | "target"): OwnedEnd {
    const state = this.state.ends[key];
    if (state === undefined) throw new RefusedError(`Cannot go on: the ${key} is not there`);
    return carriedEnd(state, role, () => this.take(key));
  }

  /** Where the receiver's words come from and go to; once they are over, ends that are too. */
  get back(): NonNullable<RelayOptions["back"]> {
    if (this.has("back_from")) {
      return { from: this.end("back_from", "source"), to: this.end("back_to", "target") };
    }
    return { from: ownEnd(openNull()), to: ownEnd(openNull()) };
  }

  get lifeline(): Fd {
    return this.take("lifeline");
  }

  capture(path: string | undefined): Capture | undefined {
    const { capture } = this.state;
    if (path === undefined || capture === null) return undefined;
    return new Capture(path, {
      ...capture,
      file: capture.state === "writing" ? this.take("capture") : undefined,
    });
  }
}

/**
 * Goes on with what claimHandover() found, to the stream's end. `optionsFor`: as the other program
 * was started. undefined: this process was started to check or to keep, and is not needed any more.
 */
export function goOnRelaying(
  claimed: Claimed,
  optionsFor: (ends: CarriedEnds) => RelayOptions,
  settings: SeamSettings,
): RelayResult | undefined {
  const found = continueAtSeam(
    claimed,
    {
      kind: RELAY_KIND,
      stateVersion: RELAY_STATE_VERSION,
      check: (bytes) => void decodeRelayState(bytes),
      adopt(bytes, take) {
        const state = decodeRelayState(bytes);
        return new Relay(optionsFor(new CarriedEnds(state, take)), { state, take });
      },
    },
    settings,
  );
  if (found === undefined) return undefined;
  using relay = found.program;
  using seams = found.seams;
  relay.replaceableBy(seams);
  return relay.run();
}
