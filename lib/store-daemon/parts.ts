// What outlives the program that serves, besides the arena: as it goes to another one, and comes
// back from there.

import type { Fd, SharedMemory } from "../sys/index.ts";
import type { RingPlace } from "./ring-place.ts";

/** A client as it goes to another program, and comes back from there. */
export interface ClientParts {
  readonly connection: number;
  readonly kind: "socket" | "ring";
  /** The socket's descriptor; undefined for a ring. */
  readonly socket: Fd | undefined;
  readonly domid: number;
  /** Our end of the event channel. */
  readonly port: number;
  /** undefined: there is none, or nobody knows how it stood when the rest was noted. */
  readonly ring: RingPlace | undefined;
  /** Within one process: for a ring that cannot be mapped again. */
  readonly mapped?: MappedRing | undefined;
  /**
   * Requests that came and were not carried out, the last perhaps in part; but for those that stand
   * on the ring.
   */
  readonly input: Uint8Array;
  /** Whole messages that have not gone, and how much of the first of them has. */
  readonly output: Uint8Array;
  readonly sentBytes: number;
  readonly isIgnored: boolean;
}

/** A ring as its program has it, in the domain that was there then. */
export interface MappedRing {
  readonly page: SharedMemory;
  readonly uniqueId: bigint | undefined;
}

/** Everything that outlives the program, besides the arena. */
export interface DaemonParts {
  readonly listeners: readonly Fd[];
  readonly events: { readonly fd: Fd; readonly changePort: number } | undefined;
  readonly clients: readonly ClientParts[];
}
