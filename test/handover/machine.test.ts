// The protocol, explored: every order in which messages arrive, either side dies, and deadlines
// pass. Two processes and two queues are the whole world; each state of it is visited once.

import { describe, expect, test } from "bun:test";
import {
  heirStep,
  type HeirEffect,
  type HeirEvent,
  type HeirState,
  holderStep,
  type HolderEffect,
  type HolderEvent,
  type HolderState,
  WORD,
} from "../../lib/handover/index.ts";

/** Everything that decides what can happen next. Values only: a world is told apart by its JSON. */
interface World {
  readonly holder: HolderState;
  readonly heir: HeirState;
  readonly holderAlive: boolean;
  readonly heirAlive: boolean;
  readonly holderServes: boolean;
  readonly heirServes: boolean;
  /** What is on its way. */
  readonly toHeir: readonly HeirEvent[];
  readonly toHolder: readonly HolderEvent[];
  readonly word: number;
  readonly killed: number;
  /** Deadlines that have passed: one for each side is enough to see every case. */
  readonly late: readonly string[];
  /** In place: the heir is the program that the old one has become, and can become it again. */
  readonly canStepBack: boolean;
  readonly hasSteppedBack: boolean;
  /** In place it is sent once the other has adopted. */
  readonly isProbeSent: boolean;
  readonly probeAnswered: boolean;
  /** Another batch of descriptors: one while clients are served, one in the pause. */
  readonly hasBatch: boolean;
  /** A death that is no matter of the protocol: the other had nothing to go on with. */
  readonly isLost: boolean;
}

const PROMOTE: World = {
  holder: "starting",
  heir: "greeting",
  holderAlive: true,
  heirAlive: true,
  holderServes: true,
  heirServes: false,
  toHeir: [],
  toHolder: ["hello_fit"],
  word: WORD.holder,
  killed: 0,
  late: [],
  canStepBack: false,
  hasSteppedBack: false,
  isProbeSent: false,
  probeAnswered: false,
  hasBatch: true,
  isLost: false,
};

/** The keeper is the holder; the other has everything but the probes behind it. */
const IN_PLACE: World = {
  ...PROMOTE,
  holder: "guarding",
  heir: "adopting",
  holderServes: false,
  toHolder: [],
  canStepBack: true,
};

const KILLS_MAX = 2;

const toHeir = (world: World, ...events: HeirEvent[]): World =>
  world.heirAlive ? { ...world, toHeir: [...world.toHeir, ...events] } : world;
const toHolder = (world: World, ...events: HolderEvent[]): World =>
  world.holderAlive ? { ...world, toHolder: [...world.toHolder, ...events] } : world;

const HOLDER_EFFECTS: Record<HolderEffect, (world: World) => World> = {
  send_welcome: (world) => toHeir(world, "welcome"),
  start_copy: (world) => world,
  send_copy: (world) => toHeir(world, "copy"),
  send_descriptors: (world) =>
    world.hasBatch
      ? toHeir({ ...world, hasBatch: false }, "descriptors")
      : holderOn(world, "described"),
  send_stand_by: (world) => toHeir(world, "stand_by"),
  decide: (world) => world,
  pause: (world) => ({ ...world, holderServes: false }),
  send_final: (world) =>
    toHeir({ ...world, probeAnswered: false, isProbeSent: true }, "descriptors", "final"),
  send_final_keep: (world) => toHeir(world, "final_keep"),
  exec: (world) => world,
  probe: (world) => toHeir({ ...world, probeAnswered: false, isProbeSent: true }, "probe"),
  send_commit: (world) => toHeir(world, "commit"),
  send_abort: (world) => toHeir(world, "abort"),
  retrieve_word: (world) => {
    const isOurs = world.word !== WORD.heir;
    const moved = isOurs ? { ...world, word: WORD.back } : world;
    return holderOn(moved, isOurs ? "word_ours" : "word_theirs");
  },
  // A death is told once; of a peer that is dead already, at once.
  kill_peer: (world) =>
    world.heirAlive
      ? { ...world, heirAlive: false, heirServes: false }
      : holderOn({ ...world, late: [...world.late, "death"] }, "peer_dead"),
  resume: (world) => ({ ...world, holderServes: true }),
  adopt_again: (world) => {
    if (world.heirAlive) throw new Error("adopts what another one is still writing");
    return { ...world, holderServes: true };
  },
  leave: (world) => ({ ...world, holderAlive: false, holderServes: false }),
  fail: (world) => world,
};

const HEIR_EFFECTS: Record<HeirEffect, (world: World) => World> = {
  rehearse: (world) => world,
  send_rehearsed: (world) => toHolder(world, "rehearsed"),
  send_got: (world) => toHolder(world, "got"),
  stand_by: (world) => world,
  send_standing: (world) => toHolder(world, "standing"),
  adopt: (world) => world,
  send_adopted: (world) => toHolder(world, "adopted"),
  send_refused: (world) =>
    toHolder(world, world.canStepBack && !world.hasSteppedBack ? "stepped_back" : "refused"),
  serve_probe: (world) => ({ ...world, probeAnswered: world.isProbeSent }),
  take_word: (world) => {
    const isOurs = world.word === WORD.holder;
    const moved = isOurs ? { ...world, word: WORD.heir } : world;
    return heirOn(moved, isOurs ? "word_ours" : "word_theirs");
  },
  serve: (world) => ({ ...world, heirServes: true }),
  send_serving: (world) => toHolder(world, "serving"),
  send_kept: (world) => world,
  guard: (world) => world,
  give_up: (world) =>
    world.canStepBack && !world.hasSteppedBack
      ? { ...world, heir: "adopting", hasSteppedBack: true }
      : { ...world, heirAlive: false, heirServes: false },
};

function holderOn(world: World, event: HolderEvent): World {
  const step = holderStep(world.holder, event);
  if (step === undefined) return world;
  return step.effects.reduce((next, effect) => HOLDER_EFFECTS[effect](next), {
    ...world,
    holder: step.to,
  });
}

function heirOn(world: World, event: HeirEvent): World {
  const step = heirStep(world.heir, event);
  if (step === undefined) return world;
  return step.effects.reduce((next, effect) => HEIR_EFFECTS[effect](next), {
    ...world,
    heir: step.to,
  });
}

/** Everything that may happen next, by name. */
function* nexts(world: World): Generator<readonly [string, World]> {
  const { holder, heir, toHeir: down, toHolder: up } = world;
  const late = (side: string): World => ({ ...world, late: [...world.late, side] });
  if (world.holderAlive) {
    const [event, ...rest] = up;
    if (event !== undefined) {
      const told = event === "serving" && !world.heirAlive ? "peer_dead" : event;
      yield [`holder gets ${event}`, holderOn({ ...world, toHolder: rest }, told)];
    } else if (!world.heirAlive && holder !== "ended") {
      if (!world.late.includes("death")) {
        yield ["holder sees the heir dead", holderOn(late("death"), "peer_dead")];
      }
      if (!world.late.includes("channel")) {
        yield ["holder sees the channel end", holderOn(late("channel"), "closed")];
      }
    }
    const own: Partial<Record<HolderState, readonly HolderEvent[]>> = {
      copying: ["copied", "cancel"],
      ready: ["go", "stay"],
      handing: world.probeAnswered ? ["probe_right", "probe_wrong", "cancel"] : ["cancel"],
      probing: [
        ...(world.probeAnswered ? (["probe_right", "cancel"] as const) : []),
        world.canStepBack && !world.hasSteppedBack ? "probe_wrong_once" : "probe_wrong",
      ],
    };
    for (const one of own[holder] ?? []) yield [`holder: ${one}`, holderOn(world, one)];
    if (!world.late.includes("holder") && holder !== "ended") {
      yield ["holder's deadline", holderOn(late("holder"), "deadline")];
    }
    if (world.killed < KILLS_MAX) {
      const dead = { ...world, holderAlive: false, holderServes: false, toHolder: [] };
      const isLost = world.isLost || !world.heirAlive || !hadFinal(world);
      yield ["holder is killed", { ...dead, killed: world.killed + 1, isLost }];
    }
  }
  if (world.heirAlive) {
    const [event, ...rest] = down;
    if (event !== undefined) {
      yield [`heir gets ${event}`, heirOn({ ...world, toHeir: rest }, event)];
    } else if (!world.holderAlive && heir !== "ended") {
      yield ["heir sees the holder dead", heirOn(world, "peer_dead")];
      if (!world.late.includes("end")) {
        yield ["heir sees the channel end", heirOn(late("end"), "closed")];
      }
    }
    const own: Partial<Record<HeirState, readonly HeirEvent[]>> = {
      greeting: ["breach"],
      waiting: ["breach"],
      receiving: ["breach"],
      adopted: ["breach"],
      rehearsing: ["rehearsal_good", "rehearsal_bad"],
      standing: ["standing_good", "standing_bad"],
      adopting: ["adoption_good", "adoption_bad"],
      serving: ["first_served"],
    };
    for (const one of own[heir] ?? []) yield [`heir: ${one}`, heirOn(world, one)];
    if (!world.late.includes("heir")) yield ["heir's deadline", heirOn(late("heir"), "deadline")];
    if (world.killed < KILLS_MAX) {
      const dead = { ...world, heirAlive: false, heirServes: false, toHeir: [] };
      const isLost = world.isLost || !world.holderAlive;
      yield ["heir is killed", { ...dead, killed: world.killed + 1, isLost }];
    }
  }
}

interface Explored {
  readonly worlds: number;
  readonly ends: readonly (readonly [World, readonly string[]])[];
  readonly broken: readonly string[];
}

function explore(start: World): Explored {
  const seen = new Map<string, readonly string[]>([[JSON.stringify(start), []]]);
  const queue: World[] = [start];
  const ends: (readonly [World, readonly string[]])[] = [];
  const broken: string[] = [];
  for (let world = queue.shift(); world !== undefined; world = queue.shift()) {
    const path = seen.get(JSON.stringify(world))!; // Every queued world was entered.
    if (world.holderServes && world.heirServes) broken.push(`both serve: ${path.join("; ")}`);
    let isEnd = true;
    for (const [name, next] of nexts(world)) {
      const key = JSON.stringify(next);
      if (key !== JSON.stringify(world)) {
        if (!/killed|deadline|channel end/.test(name)) isEnd = false;
        if (!seen.has(key)) {
          seen.set(key, [...path, name]);
          queue.push(next);
        }
      }
    }
    if (isEnd) ends.push([world, path]);
  }
  return { worlds: seen.size, ends, broken };
}

describe.each([
  ["promote", PROMOTE],
  ["in place", IN_PLACE],
] as const)("%s, every schedule", (_, start) => {
  const { worlds, ends, broken } = explore(start);

  test("visits thousands of worlds, and in none of them do both serve", () => {
    expect(worlds).toBeGreaterThan(500);
    expect(broken).toEqual([]);
  });

  test("whoever is left with the state serves in the end", () => {
    const silent = ends
      .filter(([world]) => !world.isLost && !world.holderServes && !world.heirServes)
      // An heir with the state that gave up by itself, its holder dead: two faults.
      .filter(([, path]) => !(path.includes("holder is killed") && path.some(isHeirsFault)))
      .map(([world, path]) => `${world.holder}/${world.heir}: ${path.join("; ")}`);
    expect(silent).toEqual([]);
  });

  test("nothing waits for ever: at each end one side is over or serves", () => {
    const stuck = ends
      .filter(([world]) => world.holderAlive && !world.holderServes)
      .map(([world, path]) => `${world.holder}/${world.heir}: ${path.join("; ")}`);
    expect(stuck).toEqual([]);
  });
});

const BEFORE_FINAL: readonly HeirState[] = [
  "greeting",
  "waiting",
  "rehearsing",
  "receiving",
  "standing",
];

const isHeirsFault = (step: string): boolean =>
  ["heir's deadline", "heir: adoption_bad", "heir: breach", "heir gets abort"].includes(step);

/** Whether the heir came so far that it holds everything. */
const hadFinal = ({ heir, toHeir: down }: World): boolean =>
  !BEFORE_FINAL.includes(heir) && heir !== "ended" && !down.includes("abort");

test("an event that means nothing in a state is dropped", () => {
  expect(holderStep("ended", "peer_dead")).toBeUndefined();
  expect(heirStep("greeting", "commit")).toBeUndefined();
});

test("an heir that cannot take what came says so before it gives up", () => {
  for (const state of ["greeting", "waiting", "receiving", "adopted"] as const) {
    expect(heirStep(state, "breach")).toEqual({
      to: "ended",
      effects: ["send_refused", "give_up"],
    });
  }
});
