// What a step of a transition is, what the engine tells of it, and the journal as a port.

/** The parts of a step, in the order in which the engine runs them. */
export const PHASES = ["check", "execute", "update", "commit", "cancel"] as const;
export type Phase = (typeof PHASES)[number];

export type Awaitable<T> = T | Promise<T>;

/**
 * One step. A part that is absent has nothing to do. A part that is given up at its deadline finds
 * `signal` aborted and must change nothing afterwards: the engine goes on without it.
 */
export interface Step {
  /** Unique within its transition; for messages: `disk "vda"`. */
  readonly name: string;
  /** Deadline for each part; without one it may take as long as it needs. */
  readonly timeoutMs?: number;
  /** Parts that have a deadline of their own. */
  readonly timeoutsMs?: Readonly<Partial<Record<Phase, number>>>;
  /**
   * Looks and changes nothing. Returns every reason against the step, also against undoing it: what
   * `cancel` will need is looked for here. To throw is one more reason.
   */
  check?(signal: AbortSignal): Awaitable<readonly string[]>;
  /** Makes the change. */
  execute?(signal: AbortSignal): Awaitable<void>;
  /** After all executions. Brings along what must follow, and looks that it did. */
  update?(signal: AbortSignal): Awaitable<void>;
  /**
   * After all updates: there is no way back any more. Gives up what `cancel` would have needed.
   */
  commit?(signal: AbortSignal): Awaitable<void>;
  /**
   * Undoes whatever of the step was done. It is called for each step whose `execute` has begun,
   * also if that failed or is still under way behind its deadline: it looks first and then undoes.
   * Throws if it could not.
   */
  cancel?(signal: AbortSignal): Awaitable<void>;
}

/** One after the other; those in an inner list at the same time. */
export type Steps = readonly (Step | readonly Step[])[];

/**
 * Where a transition is told before it happens, so that another process can finish or undo it. What
 * the records hold is the caller's. When a part returns, its record outlives the host.
 */
export interface Journal {
  /** All checks passed, nothing was changed yet. If it throws, nothing will be. */
  intend(): Awaitable<void>;
  /** All updates passed, no commit has begun: from here on the way is forward. */
  switched(): Awaitable<void>;
  /** All is committed, or all is undone. */
  done(result: "done" | "undone"): Awaitable<void>;
}

/** For what is gone with the process anyway. */
export const NO_JOURNAL: Journal = { intend() {}, switched() {}, done() {} };

/**
 *     untouched -> executed -> updated -> committed
 *         |            |          |
 *         +- failed    +----------+-> cancelled, or stuck: cancel or commit did not succeed
 */
export type StepState =
  "untouched" | "executed" | "updated" | "committed" | "failed" | "cancelled" | "stuck";

/** Something went wrong. The step is undefined where it was the journal, or an interruption. */
export interface Problem {
  readonly step: string | undefined;
  readonly phase: Phase | "journal" | "interrupted";
  readonly message: string;
  /** What was thrown; a failed check has none. */
  readonly cause: unknown;
}

export interface Outcome {
  /**
   * refused: nothing was changed. undone: changed, and all of it undone. stuck: some step could not
   * be undone or finished, and `states` says which.
   */
  readonly result: "done" | "refused" | "undone" | "stuck";
  /** Every failed check; or the failed step first and then what went wrong after it. */
  readonly problems: readonly Problem[];
  /** Of every step, in the order of the list. */
  readonly states: readonly { readonly step: string; readonly state: StepState }[];
}

/** Told when it has happened. */
export type TransitionEvent =
  | { readonly kind: "begin" | "end"; readonly phase: Phase; readonly step: string }
  | { readonly kind: "journal"; readonly record: "intent" | "switched" | "done" | "undone" };

export interface Transition {
  readonly steps: Steps;
  readonly journal: Journal;
  /**
   * forward: what cannot be undone (a delete). After a failure nothing is cancelled, the journal
   * stays without its last record, and who recovers goes on.
   */
  readonly onFailure: "cancel" | "forward";
  /** Aborted before the switch: undone. Afterwards it has no effect. */
  readonly interrupt?: AbortSignal;
  observe?(event: TransitionEvent): void;
}
