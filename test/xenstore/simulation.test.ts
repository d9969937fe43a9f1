// Many clients over the store and over a small model of it: each reply and each event is the same,
// and the arena is whole after each request, also when the next program has taken it over.

import { expect, test } from "bun:test";
import { randomOf } from "../fuzz/random.ts";
import { Simulation } from "../helpers/xenstore-simulation.ts";

const RUNS = 20;
const STEPS = 500;

test.each(Array.from({ length: RUNS }, (_, index) => index + 1))(
  "clients see what the model says, SEED=%d",
  (seed) => {
    const simulation = new Simulation(randomOf(seed));
    for (let step = 0; step < STEPS; step++) simulation.step();
    expect(simulation.real.store.check()).toEqual([]);
  },
  60_000,
);
