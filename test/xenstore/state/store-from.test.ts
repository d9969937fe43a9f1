// A store made from a state holds that state: random ones, and those of real daemons.

import { describe, expect, test } from "bun:test";
import { decodeState, stateOfArena, type StoreState } from "../../../lib/xenstore/index.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { randomState } from "../../helpers/random-store.ts";
import { storeOfState } from "../../helpers/state-arena.ts";
import { hasStoreDumps, storeDump, storeDumpTitle } from "../../helpers/store-dumps.ts";

const CASES = 60;

function through(state: StoreState): StoreState {
  const { store, connections, bytes } = storeOfState(state);
  expect(store.check()).toEqual([]);
  expect(connections.size).toBe(state.connections.length);
  return stateOfArena(bytes);
}

const isSpecial = ({ path }: { readonly path: string }): boolean => path.startsWith("@");

/** What of a state is compared: numbers are given anew, and a store has "/" and special nodes. */
const nodesOf = ({ nodes }: StoreState) =>
  nodes
    .filter((node) => !isSpecial(node) && node.path !== "/")
    .map(({ path, value, permissions }) => ({ path, value, permissions }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
const clientsOf = ({ connections }: StoreState) =>
  connections.map(({ channel, watches }) => ({
    channel: channel.kind === "ring" ? { ...channel, gfn: null } : channel,
    watches,
  }));

describe("a store made from a state", () => {
  test("has its nodes, clients and watches, whatever they are", () => {
    withSeed(11, (random) => {
      for (let index = 0; index < CASES; index++) {
        const state = randomState(random);
        const again = through(state);
        expect(nodesOf(again)).toEqual(nodesOf(state));
        expect(clientsOf(again)).toEqual(clientsOf(state));
        const written = state.nodes.filter((node) => node.generation === 1n && !isSpecial(node));
        for (const { path } of written) {
          expect(again.nodes.find((node) => node.path === path)?.generation).toBe(1n);
        }
      }
    });
  });

  const DUMPS = ["c/clients.bin", "c/pv32.bin", "ocaml/pv32.db"];
  test.skipIf(!hasStoreDumps).each(DUMPS.map((name) => [storeDumpTitle(name), name]))(
    "%s",
    (_, name) => {
      const { state } = decodeState(storeDump(name));
      const again = through(state);
      expect(nodesOf(again)).toEqual(nodesOf(state));
      expect(clientsOf(again)).toEqual(clientsOf(state));
    },
  );
});
