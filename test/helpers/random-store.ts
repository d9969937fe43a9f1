// Random states of a store, as full of odd things as the model allows.

import {
  ABSENT_GENERATION,
  type Permission,
  type StateConnection,
  type StateNode,
  type StateWatch,
  type StoreState,
  type TransactionNode,
} from "../../lib/xenstore/state/index.ts";

type Random = (limit: number) => number;

const NAMES = ["a", "b", "device", "vbd", "0", "768", "x-y_z", "local", "@at"];
const QUOTA_NAMES = ["nodes", "watches", "memory", "soft-memory", "transactions"];

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;
const some = <T>(random: Random, most: number, make: (index: number) => T): T[] =>
  Array.from({ length: random(most + 1) }, (_, index) => make(index));

const bytes = (random: Random, most: number): Uint8Array => {
  const isText = random(2) === 0;
  return Uint8Array.from(some(random, most, () => (isText ? 0x20 + random(95) : random(256))));
};

const token = (random: Random): Uint8Array => bytes(random, 12).map((byte) => byte || 1);

const permissions = (random: Random): Permission[] =>
  Array.from({ length: 1 + random(3) }, (_, index) => ({
    access: pick(random, ["n", "r", "w", "b"] as const),
    domid: random(4) === 0 ? random(65536) : random(8),
    isIgnored: index > 0 && random(4) === 0,
  }));

const generation = (random: Random): bigint | null =>
  random(2) === 0 ? null : pick(random, [0n, 1n, 2n ** 53n + 1n, ABSENT_GENERATION]);

function paths(random: Random): string[] {
  const all = ["/"];
  const seen = new Set(all);
  for (let left = random(12); left > 0; left--) {
    const parent = pick(random, all);
    const path = `${parent === "/" ? "" : parent}/${pick(random, NAMES)}`;
    if (!seen.has(path)) all.push(path);
    seen.add(path);
  }
  return all;
}

const node = (random: Random, path: string): StateNode => ({
  path,
  value: bytes(random, random(20) === 0 ? 3000 : 20),
  permissions: permissions(random),
  generation: generation(random),
});

function touched(random: Random, path: string): TransactionNode {
  const isDeleted = random(4) === 0;
  const { value, permissions: list, generation: count } = node(random, path);
  return {
    path,
    isRead: random(2) === 0,
    isWritten: random(2) === 0,
    content: isDeleted ? null : { value, permissions: list },
    generation: count,
  };
}

function watches(random: Random): StateWatch[] {
  const all = new Map<string, StateWatch>();
  for (let left = random(4); left > 0; left--) {
    const path = pick(random, ["/", "/a/b", "device", "control/x", "@releaseDomain", "@x/7"]);
    const watch = { path, token: token(random), depth: random(3) === 0 ? random(5) : null };
    all.set(`${path} ${Buffer.from(watch.token).toString("hex")}`, watch);
  }
  return [...all.values()];
}

function connection(random: Random, index: number): StateConnection {
  const port = (): number | null => (random(3) === 0 ? null : 1 + random(1000));
  const output = bytes(random, 60);
  return {
    id: index + 1,
    channel:
      random(2) === 0
        ? { kind: "socket", fd: 10 + index }
        : {
            kind: "ring",
            domid: index * 7,
            target: random(4) === 0 ? random(9) : null,
            gfn: random(3) === 0 ? null : random(2 ** 31),
            remotePort: port(),
            localPort: port(),
          },
    uniqueId: random(3) === 0 ? BigInt(random(2 ** 31)) * 2n ** 30n : null,
    input: bytes(random, 40),
    output,
    begunOutputBytes: random(output.length + 1),
    watches: watches(random),
    transactions: some(random, 2, (number) => ({
      id: number + 1 + random(2) * 100,
      nodes: paths(random).map((path) => touched(random, path)),
    })),
  };
}

const quotas = (random: Random, names: readonly string[]) =>
  names.filter(() => random(2) === 0).map((name) => ({ name, value: random(2 ** 32) }));

const fd = (random: Random): number | null => (random(4) === 0 ? null : 3 + random(100));

export function randomState(random: Random): StoreState {
  const hasRoot = random(8) !== 0;
  const specials = ["@releaseDomain", "@introduceDomain"].filter(() => random(2) === 0);
  const all = paths(random);
  const eventChannelFd = fd(random);
  return {
    global: {
      socketFd: fd(random),
      eventChannelFd,
      domainExceptionPort: eventChannelFd === null ? null : fd(random),
    },
    quotas: {
      perDomain: quotas(random, QUOTA_NAMES),
      global: quotas(random, ["path-max", "node-size"]),
    },
    connections: some(random, 5, (index) => connection(random, index)),
    domains: some(random, 3, (index) => ({
      domid: index * 7,
      features: random(16),
      quotas: quotas(random, QUOTA_NAMES),
    })),
    nodes: [...all.slice(hasRoot ? 0 : 1), ...specials].map((path) => node(random, path)),
    unknown: some(random, 2, (index) =>
      random(2) === 0
        ? { kind: "record", type: 9 + index, body: bytes(random, 20) }
        : { kind: "line", text: `newer-${index},1,${random(9)}` },
    ),
  };
}

const NOTHING = new Uint8Array(0);

/** What every format carries of a state, made from it. */
export const plainState = (
  state: StoreState,
  { isText }: { readonly isText: boolean },
): StoreState => ({
  global: {
    ...state.global,
    domainExceptionPort: isText ? state.global.domainExceptionPort : null,
  },
  quotas: { perDomain: [], global: [] },
  connections: state.connections.map(({ id, channel, watches: all }) => ({
    id,
    channel:
      channel.kind === "socket"
        ? channel
        : {
            ...channel,
            target: null,
            gfn: isText ? (channel.gfn ?? 5) : null,
            remotePort: isText ? (channel.remotePort ?? 6) : null,
            localPort: channel.localPort ?? 7,
          },
    uniqueId: null,
    input: NOTHING,
    output: NOTHING,
    begunOutputBytes: 0,
    watches: all.map((watch) => ({ ...watch, depth: null })),
    transactions: [],
  })),
  domains: [],
  nodes: state.nodes.map((one) => ({
    ...one,
    generation: null,
    permissions: one.permissions.filter(({ isIgnored }) => !isIgnored),
  })),
  unknown: [],
});
