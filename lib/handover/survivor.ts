// What a long-running program gives to this room so that it can be replaced, and what its successor
// gives. Nothing here knows a format: state is bytes, descriptors have keys.
//
//   Survivor   the program that has the clients now
//   Heir       the same program's successor, before it serves: it checks, adopts, answers a probe
//
// All calls are synchronous; the program's own loop runs between them.

import type { Fd } from "../sys/index.ts";

/** What a survivor's copy is checked against: an order-free sum over all that must be the same. */
export type Digest = string;

export interface CarriedDescriptor {
  /** Never used for another descriptor while the program lives: a number that counts up, say. */
  readonly key: string;
  readonly fd: Fd;
}

/** A copy of the whole state, made in slices while clients are being served. */
export interface Snapshot extends Disposable {
  /** Goes on copying for about `budgetMs`. True when the copy is whole. */
  advance(budgetMs: number): boolean;
  /** Of the whole copy: a memory file, and what its content must sum up to. */
  readonly file: Fd;
  readonly digest: Digest;
}

/** A conversation that the holder has with the heir as one more client. */
export interface ProbeTalk {
  /** What to send first. */
  readonly opening: Uint8Array;
  /** All bytes in answer to the last ones sent. Throws RefusedError for a wrong answer. */
  next(answer: Uint8Array): ProbeStep;
}
export type ProbeStep =
  /** The answer is not whole yet. */
  | { readonly kind: "more" }
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "right" };

/** How many of what goes over, for reports: connections, watches, transactions, nodes, bytes. */
export type Counts = Readonly<Record<string, number>>;

/** What came and went since an heir was told to stand by. */
export interface Changes {
  /** In place of difference(). */
  readonly difference: Uint8Array;
  readonly added: readonly CarriedDescriptor[];
  /** Their keys. */
  readonly gone: readonly string[];
}

export interface Survivor {
  /** "store", "relay" ... The heir must know it. */
  readonly kind: string;
  /** Of the copy and the difference; the heir must be able to read it. */
  readonly stateVersion: number;
  /** What the heir needs besides the state to be the same program; its own business. */
  readonly settings: string;
  /** What stands in the way, by name: each makes the update refused before anything stops. */
  obstacles(): readonly string[];
  counts(): Counts;
  snapshot(): Snapshot;
  /** Everything to be carried, in one order: what is new since the last call stands at the end. */
  descriptors(): readonly CarriedDescriptor[];
  /** Calls back, now or later, where it can be paused; without it that is everywhere. */
  readonly whenPausable?: (go: () => void) => void;
  /** Stops waiting on clients. */
  pause(): void;
  /** Serves again, nothing having changed since pause(). */
  resume(outcome: Outcome): void;
  /**
   * What is not in shared memory among the descriptors. Called after pause(), and before it on
   * trial, to predict the pause: it changes nothing.
   */
  difference(): Uint8Array;
  /** For an heir that stands by: the same in two parts. */
  readonly standby?: {
    /** While clients are served: all that can be told by then. */
    roster(): Uint8Array;
    /** What is otherwise than the roster said. After pause(), and before it on trial. */
    changes(): Changes;
  };
  /** Of the state as it stands after pause(). */
  digest(): Digest;
  /**
   * What the heir is asked in the pause. Called before pause(), while clients are served: what it
   * takes for right is not to depend on what they do until then.
   */
  probe(): ProbeTalk;
  /**
   * Serves again on what an heir, dead by now, has left in shared memory: an operation that it was
   * in the middle of is undone, what it had connected for itself is dropped. Connections whose keys
   * are in `touched` have had traffic with it, and are closed.
   */
  adoptAgain(touched: ReadonlySet<string>, outcome: Outcome): void;
  /** The heir serves. Ends the program's loop; unlinks nothing. */
  leave(): void;
}

/** How an update went, for whoever asked for it and for the report. */
export type Outcome =
  /** The program that serves now is the new one. */
  | { readonly kind: "updated"; readonly report: UpdateReport }
  /** The old program serves on: it refused, or went back. */
  | { readonly kind: "kept"; readonly reason: string; readonly report: UpdateReport };

/** In this order, as far as they were reached; milliseconds. */
export interface UpdateReport {
  readonly way: Way;
  readonly generation: number;
  readonly binary: string;
  readonly sha256: string | null;
  readonly version: string | null;
  readonly counts: Counts;
  readonly phases_ms: Readonly<Record<string, number>>;
  readonly pause_ms: { readonly predicted: number | null; readonly measured: number | null };
}

export type Way = "promote" | "in_place";

/** Of an update that was not begun. */
export const NO_REPORT: UpdateReport = {
  way: "promote",
  generation: 0,
  binary: "",
  sha256: null,
  version: null,
  counts: {},
  phases_ms: {},
  pause_ms: { predicted: null, measured: null },
};

/**
 * Marks a connection as one that the heir has had traffic on, or (false) as one that it had not
 * after all. It costs a store into memory. Returns false once the old program has left: then nobody
 * looks at the marks any more.
 */
export type Touch = (key: string, isTouched: boolean) => boolean;

export interface Adoption {
  /** Survivor.difference(); to an heir that stands by first roster(), then that of changes(). */
  readonly difference: Uint8Array;
  /** By key, in the order of the holder's list. The heir owns them from here on. */
  readonly descriptors: ReadonlyMap<string, Fd>;
  /** Keys of what it has stood by for, and what is no more. */
  readonly gone: readonly string[];
  /** Call it before a byte is read from or written to the descriptor of that key. */
  readonly touch: Touch;
  /**
   * Keys of connections that a program which has ended since has had traffic on: what it answered
   * is not known, so they are to be closed (shut down first). Empty but for a keeper.
   */
  readonly touched: ReadonlySet<string>;
  /**
   * There is no program to go back to, and there may have been one in between that has served: what
   * is absent or otherwise by now is left out, and everybody else is served. Nothing but memory
   * that is damaged beyond use is a reason to refuse.
   */
  readonly isLastResort: boolean;
}

export interface Heir {
  /** Checks the copy as if it were hostile. Returns its digest; throws RefusedError. */
  rehearse(copy: Fd): Digest;
  /**
   * The holder still serves: takes what is not going to change, and changes nothing that the holder
   * or a client could notice. The difference is the survivor's roster(). The descriptors are the
   * heir's from here on, also those that adopt() then has no more. Throws RefusedError.
   */
  standBy?(adoption: Adoption): void;
  /**
   * Takes the state over without serving. Nobody else writes to shared memory now. Returns its
   * digest; throws RefusedError.
   */
  adopt(adoption: Adoption): Digest;
  /** What a program with this state answers: for a keeper, which has not adopted it. */
  probe(difference: Uint8Array): ProbeTalk;
  /** Serves one more client, the holder; it ends by itself. The only one before serve(). */
  serveProbe(fd: Fd): void;
  /** Serves everybody. Returns what makes this program replaceable in its turn. */
  serve(outcome: Outcome): Survivor;
  /** Calls back once, after the first requests were served or when there are none. */
  onFirstServed(report: () => void): void;
}

/** By kind: the state versions it can adopt, and the heir for the holder's settings. */
export type Heirs = Readonly<
  Record<
    string,
    { readonly stateVersions: readonly number[]; readonly start: (settings: string) => Heir }
  >
>;
