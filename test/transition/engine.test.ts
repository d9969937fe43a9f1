// The engine of transitions: the order of events, every way to fail, and what it says afterwards.

import { describe, expect, test } from "bun:test";
import { Bug } from "../../lib/base/index.ts";
import {
  describeProblem,
  describeStates,
  type Journal,
  NO_JOURNAL,
  type Phase,
  runTransition,
  runTransitionNow,
  type Step,
  type Steps,
} from "../../lib/transition/index.ts";

/** Steps that write down what is called; `failing` names parts that throw, as "b.execute". */
function recorder(names: readonly string[], failing: readonly string[]) {
  const log: string[] = [];
  const fail = (what: string): void => {
    log.push(what);
    if (failing.includes(what)) throw new Error(`${what} failed`);
  };
  const steps = names.map((name): Step => ({
    name,
    check() {
      log.push(`${name}.check`);
      return failing.includes(`${name}.check`) ? [`${name} is bad`, `${name} is worse`] : [];
    },
    execute: () => fail(`${name}.execute`),
    update: () => fail(`${name}.update`),
    commit: () => fail(`${name}.commit`),
    cancel: () => fail(`${name}.cancel`),
  }));
  const journal: Journal = {
    intend: () => fail("intent"),
    switched: () => fail("switched"),
    done: (result) => fail(result),
  };
  return { log, steps, journal };
}

const phases = (names: string, ...parts: Phase[]) =>
  parts.flatMap((part) => [...names].map((name) => `${name}.${part}`));

const CHECKS = phases("abc", "check");
const ALL = [...CHECKS, "intent", ...phases("abc", "execute", "update"), "switched"];

const ROWS: readonly {
  readonly failing: readonly string[];
  readonly result: string;
  readonly log: readonly string[];
  readonly problems: readonly string[];
  readonly states: readonly string[];
}[] = [
  {
    failing: [],
    result: "done",
    log: [...ALL, ...phases("abc", "commit"), "done"],
    problems: [],
    states: ["committed: a, b, c"],
  },
  {
    failing: ["a.check", "c.check"],
    result: "refused",
    log: CHECKS,
    problems: [
      "a: check: a is bad",
      "a: check: a is worse",
      "c: check: c is bad",
      "c: check: c is worse",
    ],
    states: ["untouched: a, b, c"],
  },
  {
    failing: ["intent"],
    result: "refused",
    log: [...CHECKS, "intent"],
    problems: ["journal: intent failed"],
    states: ["untouched: a, b, c"],
  },
  {
    failing: ["b.execute"],
    result: "undone",
    log: [...CHECKS, "intent", ...phases("ab", "execute"), ...phases("ba", "cancel"), "undone"],
    problems: ["b: execute: b.execute failed"],
    states: ["cancelled: a, b", "untouched: c"],
  },
  {
    failing: ["b.execute", "b.cancel"],
    result: "stuck",
    log: [...CHECKS, "intent", ...phases("ab", "execute"), ...phases("ba", "cancel")],
    problems: ["b: execute: b.execute failed", "b: cancel: b.cancel failed"],
    states: ["cancelled: a", "stuck: b", "untouched: c"],
  },
  {
    failing: ["c.update"],
    result: "undone",
    log: [...ALL.slice(0, -1), ...phases("cba", "cancel"), "undone"],
    problems: ["c: update: c.update failed"],
    states: ["cancelled: a, b, c"],
  },
  {
    failing: ["switched"],
    result: "undone",
    log: [...ALL, ...phases("cba", "cancel"), "undone"],
    problems: ["journal: switched failed"],
    states: ["cancelled: a, b, c"],
  },
  {
    failing: ["a.commit"],
    result: "stuck",
    log: [...ALL, ...phases("abc", "commit")],
    problems: ["a: commit: a.commit failed"],
    states: ["stuck: a", "committed: b, c"],
  },
  {
    failing: ["done"],
    result: "done",
    log: [...ALL, ...phases("abc", "commit"), "done"],
    problems: ["journal: done failed"],
    states: ["committed: a, b, c"],
  },
];

describe("both drivers keep one order of events", () => {
  test.each(ROWS)("failing: $failing", async ({ failing, result, log, problems, states }) => {
    for (const isAsync of [true, false]) {
      const { log: seen, steps, journal } = recorder(["a", "b", "c"], failing);
      const transition = { steps, journal, onFailure: "cancel" } as const;
      const outcome = isAsync ? await runTransition(transition) : runTransitionNow(transition);
      expect(outcome.result).toBe(result as typeof outcome.result);
      expect(seen).toEqual([...log]);
      expect(outcome.problems.map(describeProblem)).toEqual([...problems]);
      expect(describeStates(outcome)).toEqual([...states]);
    }
  });
});

test("what cannot be undone is not cancelled, and its journal stays open", async () => {
  const { log, steps, journal } = recorder(["a", "b", "c"], ["b.execute"]);
  const outcome = await runTransition({ steps, journal, onFailure: "forward" });
  expect(outcome.result).toBe("stuck");
  expect(log.slice(3)).toEqual(["intent", "a.execute", "b.execute"]);
  expect(describeStates(outcome)).toEqual(["executed: a", "failed: b", "untouched: c"]);
});

const run = (steps: Steps, interrupt?: AbortSignal) =>
  runTransition({
    steps,
    journal: NO_JOURNAL,
    onFailure: "cancel",
    ...(interrupt === undefined ? {} : { interrupt }),
  });

test("of steps side by side all are awaited, and all that began are cancelled", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancelled: string[] = [];
  const cancel = (name: string) => () => void cancelled.push(name);
  const outcome = await run([
    { name: "first", execute() {}, cancel: cancel("first") },
    [
      { name: "slow", execute: () => promise, cancel: cancel("slow") },
      {
        name: "bad",
        execute() {
          resolve();
          throw new Error("no");
        },
        cancel: cancel("bad"),
      },
    ],
    { name: "last", execute() {}, cancel: cancel("last") },
  ]);
  expect(outcome.result).toBe("undone");
  expect(cancelled).toEqual(["bad", "slow", "first"]);
});

test("a step that passes its deadline is told so, given up and cancelled", async () => {
  let aborted = false;
  const outcome = await run([
    {
      name: "hangs",
      timeoutsMs: { execute: 20 },
      execute: (signal) =>
        new Promise(() => signal.addEventListener("abort", () => (aborted = true))),
      cancel() {},
    },
  ]);
  expect(outcome.result).toBe("undone");
  expect(aborted).toBe(true);
  expect(outcome.problems.map(describeProblem)).toEqual([
    "hangs: execute: execute of hangs was not done within 20 ms",
  ]);
});

test("an interruption before the switch undoes, one after it has no effect", async () => {
  const { steps, log } = recorder(["a", "b"], []);
  const controller = new AbortController();
  const stop = (part: "execute" | "commit"): Step => ({
    name: "stop",
    execute: () => void (part === "execute" && controller.abort(new Error("SIGINT"))),
    commit: () => void (part === "commit" && controller.abort(new Error("SIGINT"))),
    cancel() {},
  });
  const [a, b] = steps;
  expect((await run([b!, stop("commit")], controller.signal)).result).toBe("done");
  log.length = 0;
  const early = await run([a!], controller.signal);
  expect(early.result).toBe("refused");
  const other = new AbortController();
  const late = await run(
    [a!, { ...stop("execute"), execute: () => other.abort(new Error("SIGINT")) }, b!],
    other.signal,
  );
  expect(late.result).toBe("undone");
  expect(late.problems.map(describeProblem)).toEqual(["interrupted: SIGINT"]);
  expect(describeStates(late)).toEqual(["cancelled: a, stop", "untouched: b"]);
});

test("mistakes of ours are thrown, not reported", async () => {
  const twice = [{ name: "a" }, { name: "a" }];
  expect(run(twice)).rejects.toThrow("steps have unique names");
  expect(run([{ name: "a", execute() {} }])).rejects.toThrow("step a can be undone");
  const isBug = { name: "a", check: () => Promise.reject(new Bug("x")) };
  expect(run([isBug])).rejects.toThrow("Assertion failed: x");
  const awaiting: Step = {
    name: "a",
    async check() {
      return [];
    },
  };
  const transition = { steps: [awaiting], journal: NO_JOURNAL, onFailure: "cancel" } as const;
  expect(() => runTransitionNow(transition)).toThrow("check of a of a transition does not await");
});

test("what happens is told while it happens", async () => {
  const told: string[] = [];
  const { steps, journal } = recorder(["a"], []);
  await runTransition({
    steps,
    journal,
    onFailure: "cancel",
    observe: (event) =>
      told.push(
        event.kind === "journal" ? event.record : `${event.kind} ${event.phase} ${event.step}`,
      ),
  });
  const parts = (phase: string) => [`begin ${phase} a`, `end ${phase} a`];
  expect(told).toEqual([
    ...parts("check"),
    "intent",
    ...parts("execute"),
    ...parts("update"),
    "switched",
    ...parts("commit"),
    "done",
  ]);
});
