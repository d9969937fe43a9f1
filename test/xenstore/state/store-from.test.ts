// A store made from a state holds that state: random ones, and those of real daemons.

import { describe, expect, test } from "bun:test";
import {
  decodeState,
  type Host,
  stateOfArena,
  storeFrom,
  type StoreMemory,
  type StoreState,
} from "../../../lib/xenstore/index.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { randomState } from "../../helpers/random-store.ts";
import { hasStoreDumps, storeDump, storeDumpTitle } from "../../helpers/store-dumps.ts";

const CASES = 60;
const OPTIONS = { privilegedDomid: 0, storeDomid: 0, seed: 5, quotas: {}, keepOrphans: false };

/** Nothing of what is made here has effects. */
const HOST = new Proxy({} as Host, {
  get: (_, name) => () => {
    throw new Error(`${String(name)} was called`);
  },
});

function growingMemory(): StoreMemory & { buffer: ArrayBuffer } {
  return {
    buffer: new ArrayBuffer(4096),
    grow(bytes) {
      const buffer = new ArrayBuffer(Math.ceil(bytes / 4096) * 4096);
      new Uint8Array(buffer).set(new Uint8Array(this.buffer));
      this.buffer = buffer;
      return buffer;
    },
  };
}

function through(state: StoreState): StoreState {
  const memory = growingMemory();
  const { store, connections } = storeFrom(state, memory, { host: HOST, options: OPTIONS });
  expect(store.check()).toEqual([]);
  expect(connections.size).toBe(state.connections.length);
  return stateOfArena(new Uint8Array(memory.buffer));
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
