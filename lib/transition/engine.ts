// The one way to change the world: check all, execute all, update all, commit all; on failure
// cancel in reverse.
//
// Theory of Operation
//
// plan() is the whole order of events as a generator: it yields calls that belong together (one, or
// those of steps that stand side by side) and is given what became of each. It knows no clock and
// no promise. Two short drivers run it: runTransition() awaits, with deadlines; runTransitionNow()
// is for a process on our own event loop, where nothing may await.
//
// Checks run to their end even if some fail, so that every reason is reported at once. Of steps
// side by side all are awaited before anything is judged. cancel is called for every step whose
// execute began, the failed one too: only it can look what was done, for a deadline or a broken
// connection does not say. What fails while cancelling does not stop the others from being
// cancelled.

import { assert, Bug } from "../base/index.ts";
import type { Awaitable, Outcome, Phase, Problem, Step, StepState, Transition } from "./step.ts";

interface Call {
  readonly what: string;
  readonly timeoutMs: number | undefined;
  run(signal: AbortSignal): Awaitable<readonly string[] | void>;
}
type Answer =
  | { readonly isGood: true; readonly value: readonly string[] | void }
  | { readonly isGood: false; readonly error: unknown };
type Plan = Generator<readonly Call[], Outcome, readonly Answer[]>;

/** Runs the transition. Throws only a Bug: everything else is in the outcome. */
export async function runTransition(transition: Transition): Promise<Outcome> {
  const plan = planOf(transition);
  let answers: readonly Answer[] = [];
  for (;;) {
    const { done, value } = plan.next(answers);
    if (done === true) return value;
    answers = await Promise.all(value.map(answerOf));
  }
}

/**
 * The same without awaiting: a step that returns a promise is a Bug, and deadlines have no effect.
 */
export function runTransitionNow(transition: Transition): Outcome {
  const plan = planOf(transition);
  const never = new AbortController().signal;
  let answers: readonly Answer[] = [];
  for (;;) {
    const { done, value } = plan.next(answers);
    if (done === true) return value;
    answers = value.map((call): Answer => {
      try {
        const returned = call.run(never);
        assert(!(returned instanceof Promise), `${call.what} of a transition does not await`);
        return { isGood: true, value: returned };
      } catch (error) {
        return failed(error);
      }
    });
  }
}

async function answerOf({ what, timeoutMs, run }: Call): Promise<Answer> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeoutMs === undefined) return;
    timer = setTimeout(() => {
      const error = new DeadlineError(what, timeoutMs);
      controller.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    const running = (async () => run(controller.signal))();
    return { isGood: true, value: await Promise.race([running, late]) };
  } catch (error) {
    return failed(error);
  } finally {
    clearTimeout(timer);
  }
}

/** A step did not end in time: whether it did what it should is unknown. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError"; // A literal: minifying renames the class itself.
  constructor(what: string, timeoutMs: number) {
    super(`${what} was not done within ${timeoutMs} ms`);
  }
}

/** Our own mistakes are not an outcome. */
function failed(error: unknown): Answer {
  if (error instanceof Bug) throw error;
  return { isGood: false, error };
}

// ---- The order of events -----------------------------------------------------------------------

class Ledger {
  readonly stages: readonly (readonly Step[])[];
  readonly states = new Map<Step, StepState>();
  readonly problems: Problem[] = [];
  readonly transition: Transition;
  constructor(transition: Transition) {
    this.transition = transition;
    this.stages = transition.steps.map((one) => ("name" in one ? [one] : one));
    for (const step of this.stages.flat()) this.states.set(step, "untouched");
  }
  outcome(result: Outcome["result"]): Outcome {
    const states = [...this.states].map(([step, state]) => ({ step: step.name, state }));
    return { result, problems: this.problems, states };
  }
}

function* planOf(transition: Transition): Plan {
  const record = new Ledger(transition);
  const steps = record.stages.flat();
  assert(new Set(steps.map(({ name }) => name)).size === steps.length, "steps have unique names");
  const isBackward = transition.onFailure === "cancel";
  for (const step of steps) {
    const isUndoable = step.execute === undefined || step.cancel !== undefined;
    assert(!isBackward || isUndoable, `step ${step.name} can be undone`);
  }
  for (const stage of record.stages) yield* phase(record, stage, "check");
  if (record.problems.length > 0 || isInterrupted(record)) return record.outcome("refused");
  if (!(yield* journal(record, "intent"))) return record.outcome("refused");
  if (!(yield* change(record))) return isBackward ? yield* undo(record) : record.outcome("stuck");
  if (!(yield* journal(record, "switched"))) {
    return isBackward ? yield* undo(record) : record.outcome("stuck");
  }
  // No way back: one that fails does not keep the others from being finished.
  for (const stage of record.stages) yield* phase(record, stage, "commit");
  if (record.problems.length > 0) return record.outcome("stuck");
  yield* journal(record, "done"); // If that fails all is done nevertheless; recovery will see it.
  return record.outcome("done");
}

/** Whether all executions and then all updates passed. */
function* change(record: Ledger): Generator<readonly Call[], boolean, readonly Answer[]> {
  for (const name of ["execute", "update"] as const) {
    for (const stage of record.stages) {
      if (isInterrupted(record)) return false;
      yield* phase(record, stage, name);
      if (record.problems.length > 0) return false;
    }
  }
  return !isInterrupted(record);
}

function* undo(record: Ledger): Plan {
  const before = record.problems.length;
  for (const stage of record.stages.toReversed()) {
    const begun = stage.toReversed().filter((step) => record.states.get(step) !== "untouched");
    yield* phase(record, begun, "cancel");
  }
  if (record.problems.length > before) return record.outcome("stuck");
  yield* journal(record, "undone");
  return record.outcome("undone");
}

const STATE_AFTER: Readonly<Record<Phase, StepState>> = {
  check: "untouched",
  execute: "executed",
  update: "updated",
  commit: "committed",
  cancel: "cancelled",
};
const STATE_IF_FAILED: Readonly<Record<Phase, StepState>> = {
  check: "untouched",
  execute: "failed",
  update: "failed",
  commit: "stuck",
  cancel: "stuck",
};

/** Runs one part of steps that stand side by side, and notes what became of each. */
function* phase(
  record: Ledger,
  stage: readonly Step[],
  name: Phase,
): Generator<readonly Call[], void, readonly Answer[]> {
  const { transition, states, problems } = record;
  if (stage.length === 0) return;
  const calls = stage.map((step): Call => ({
    what: `${name} of ${step.name}`,
    timeoutMs: step.timeoutsMs?.[name] ?? step.timeoutMs,
    run(signal) {
      transition.observe?.({ kind: "begin", phase: name, step: step.name });
      return step[name]?.(signal);
    },
  }));
  const answers = yield calls;
  for (const [index, step] of stage.entries()) {
    const answer = answers[index];
    assert(answer !== undefined, "every call has its answer");
    states.set(step, (answer.isGood ? STATE_AFTER : STATE_IF_FAILED)[name]);
    if (answer.isGood) {
      for (const message of answer.value ?? []) {
        problems.push({ step: step.name, phase: name, message, cause: undefined });
      }
      transition.observe?.({ kind: "end", phase: name, step: step.name });
    } else {
      const { error } = answer;
      problems.push({ step: step.name, phase: name, message: messageOf(error), cause: error });
    }
  }
}

/** Whether the record was written. */
function* journal(
  record: Ledger,
  name: "intent" | "switched" | "done" | "undone",
): Generator<readonly Call[], boolean, readonly Answer[]> {
  const { journal: port, observe } = record.transition;
  const run = (): Awaitable<void> => {
    if (name === "intent") return port.intend();
    return name === "switched" ? port.switched() : port.done(name);
  };
  const [answer] = yield [{ what: `the journal's ${name} record`, timeoutMs: undefined, run }];
  assert(answer !== undefined, "every call has its answer");
  if (answer.isGood) {
    observe?.({ kind: "journal", record: name });
    return true;
  }
  const { error } = answer;
  record.problems.push({
    step: undefined,
    phase: "journal",
    message: messageOf(error),
    cause: error,
  });
  return false;
}

function isInterrupted({ transition: { interrupt }, problems }: Ledger): boolean {
  if (interrupt?.aborted !== true) return false;
  const message = messageOf(interrupt.reason);
  problems.push({ step: undefined, phase: "interrupted", message, cause: interrupt.reason });
  return true;
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
