// What other rooms may use of transition.
export { describeProblem, describeStates } from "./describe.ts";
export { DeadlineError, runTransition, runTransitionNow } from "./engine.ts";
export { NO_JOURNAL, PHASES } from "./step.ts";
export type {
  Awaitable,
  Journal,
  Outcome,
  Phase,
  Problem,
  Step,
  Steps,
  StepState,
  Transition,
  TransitionEvent,
} from "./step.ts";
