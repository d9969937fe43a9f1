// Plays the same steps to two daemons, finds the first thing that they told differently, and
// shortens the steps to those that it takes.

import type { StoreDaemon } from "../../helpers/store-peers.ts";
import { isAllowed } from "./allowed.ts";
import { Player, type Told } from "./play.ts";
import type { Step } from "./steps.ts";
import { OP, opName, quoteBytes } from "../../helpers/store-wire.ts";

export interface Difference {
  readonly actor: string;
  readonly step: number;
  readonly ours: string;
  readonly peer: string;
}

export type Pair = readonly [ours: StoreDaemon, peer: StoreDaemon];

function play(daemon: StoreDaemon, steps: readonly Step[]): Told[] {
  using player = new Player(daemon);
  return player.play(steps);
}

/** The difference that comes first, by step; undefined where every actor was told the same. */
export function findDifference([ours, peer]: Pair, steps: readonly Step[]): Difference | undefined {
  const toldBy = (daemon: StoreDaemon) => byActor(inOrder(steps, play(daemon, steps)));
  const [left, right] = [toldBy(ours), toldBy(peer)];
  let first: Difference | undefined;
  for (const actor of new Set([...left.keys(), ...right.keys()])) {
    const [mine, theirs] = [left.get(actor) ?? [], right.get(actor) ?? []];
    const length = Math.max(mine.length, theirs.length);
    for (let index = 0; index < length; index++) {
      const [one, other] = [mine[index], theirs[index]];
      if (one?.text === other?.text) continue;
      const step = Math.min(one?.step ?? Infinity, other?.step ?? Infinity);
      const found = { actor, step, ours: textOf(one), peer: textOf(other) };
      if (isAllowed(steps[step]!, found)) continue;
      if (first === undefined || step < first.step) first = found;
      break;
    }
  }
  return first;
}

/**
 * What RELEASE tells is put in one order. The C daemon answers it before its events where the
 * domain's connection happens to be the one that it looks at next, and after them elsewhere.
 */
function inOrder(steps: readonly Step[], told: readonly Told[]): readonly Told[] {
  return told.toSorted((one, other) => {
    const step = steps[one.step]!;
    const isOpen = one.step === other.step && step.kind === "ask" && step.op === OP.RELEASE;
    if (isOpen) return one.text < other.text ? -1 : one.text > other.text ? 1 : 0;
    return one.step - other.step;
  });
}

const textOf = (told: Told | undefined): string => told?.text ?? "(nothing)";

function byActor(told: readonly Told[]): Map<string, Told[]> {
  const found = new Map<string, Told[]>();
  for (const one of told) {
    const list = found.get(one.actor);
    if (list === undefined) found.set(one.actor, [one]);
    else list.push(one);
  }
  return found;
}

/** Fewer steps that still make a difference of the same kind. */
export function shorten(pair: Pair, all: readonly Step[], found: Difference): readonly Step[] {
  let steps = all.slice(0, found.step + 1);
  const kind = kindOf(steps.at(-1)!);
  for (let size = Math.ceil(steps.length / 2); size >= 1;) {
    let removed = false;
    for (let at = Math.max(0, steps.length - size); at >= 0; at -= size) {
      const fewer = [...steps.slice(0, at), ...steps.slice(at + size)];
      const difference = fewer.length === 0 ? undefined : findDifference(pair, fewer);
      if (difference === undefined || kindOf(fewer[difference.step]!) !== kind) continue;
      steps = fewer.slice(0, difference.step + 1);
      removed = true;
      at = Math.min(at, steps.length);
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!removed) break;
  }
  return steps;
}

const kindOf = (step: Step): string => (step.kind === "ask" ? opName(step.op) : step.kind);

/** A line a step, and what came of the last. */
export function report(steps: readonly Step[], { actor, step, ours, peer }: Difference): string {
  const lines = steps.map((each, index) => `  ${index}: ${stepText(each)}`);
  return [...lines, `step ${step} told ${actor}`, `  ours: ${ours}`, `  peer: ${peer}`].join("\n");
}

export function stepText(step: Step): string {
  switch (step.kind) {
    case "ask": {
      const slot = step.slot === 0 ? "" : ` in slot ${step.slot}`;
      return `${step.actor} ${opName(step.op)} ${quoteBytes(step.body)}${slot}`;
    }
    case "burst":
      return `${step.actor} ${step.asks
        .map(({ op, body }) => `${opName(op)} ${quoteBytes(body)}`)
        .join(", ")}`;
    case "overlong":
      return `${step.actor} a header that says ${step.length} bytes`;
    case "close":
      return `${step.actor} closes`;
    case "mark":
      return `domain ${step.domid} is ${step.state}`;
    default:
      return `${step.kind} domain ${step.domid}`;
  }
}
