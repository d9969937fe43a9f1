// Two states compared: nodes by path, connections by what they are connected to, and what belongs
// to them. The order of a dump does not count, nor what only numbers things (ids, generations).

import { bytesToJson, permissionText } from "./json.ts";
import { channelName, type Permission, type StateConnection, type StoreState } from "./model.ts";

export interface CompareOptions {
  /** Whether both sides tell of connections, quotas and domains. */
  readonly hasConnections: boolean;
}

export interface StateDifference {
  readonly group: "node" | "permissions" | "connection" | "watch" | "transaction" | "quota";
  /** A path, "domain 5", "socket 12: device (token)". */
  readonly name: string;
  /** What stands there; null: nothing does. */
  readonly a: string | null;
  readonly b: string | null;
}

type Group = StateDifference["group"];
/** What a state says, in words: from a name to a value. */
type Facts = Map<string, string>;

/** Each group in the order of A, then what only B has. */
export function compareStates(
  a: StoreState,
  b: StoreState,
  { hasConnections }: CompareOptions,
): StateDifference[] {
  const differencesIn = (group: Group, factsOf: (state: StoreState) => Facts) =>
    differencesOf(group, factsOf(a), factsOf(b));
  const ofNodes = [...differencesIn("node", nodeValues), ...permissionDifferences(a, b)];
  if (!hasConnections) return ofNodes;
  return [
    ...ofNodes,
    ...differencesIn("connection", connections),
    ...differencesIn("watch", watches),
    ...differencesIn("transaction", transactions),
    ...differencesIn("quota", quotas),
  ];
}

/** Of nodes that both have: those of one side alone are told once, as nodes. */
function permissionDifferences(a: StoreState, b: StoreState): StateDifference[] {
  const inB = new Map(b.nodes.map(({ path, permissions }) => [path, permissions]));
  return a.nodes.flatMap(({ path: name, permissions }): StateDifference[] => {
    const other = inB.get(name);
    if (other === undefined || areSame(permissions, other)) return [];
    return [{ group: "permissions", name, a: listText(permissions), b: listText(other) }];
  });
}

/**
 * A live store lists entries that do not count like others, or has lost them where its nodes were
 * loaded: neither is a difference.
 */
function areSame(a: readonly Permission[], b: readonly Permission[]): boolean {
  const plain = ({ access, domid }: Permission): string => `${access}${domid}`;
  const all = (list: readonly Permission[]): string => list.map(plain).join();
  const counting = (list: readonly Permission[]): string =>
    all(list.filter(({ isIgnored }, index) => index === 0 || !isIgnored));
  return all(a) === all(b) || counting(a) === all(b) || all(a) === counting(b);
}

const listText = (permissions: readonly Permission[]): string =>
  permissions.map(permissionText).join(",");

function differencesOf(group: Group, a: Facts, b: Facts): StateDifference[] {
  const differences: StateDifference[] = [];
  for (const [name, value] of a) {
    const other = b.get(name) ?? null;
    if (value !== other) differences.push({ group, name, a: value, b: other });
  }
  for (const [name, value] of b) {
    if (!a.has(name)) differences.push({ group, name, a: null, b: value });
  }
  return differences;
}

/** As in JSON documents: text, or hexadecimal. */
function valueText(bytes: Uint8Array): string {
  const value = bytesToJson(bytes);
  return typeof value === "string" ? JSON.stringify(value) : `0x${value.hex}`;
}

const nodeValues = ({ nodes }: StoreState): Facts =>
  new Map(nodes.map(({ path, value }) => [path, valueText(value)]));

const connections = (state: StoreState): Facts =>
  new Map(state.connections.map((one) => [channelName(one.channel), connectionText(one)]));

function connectionText({ channel, input, output }: StateConnection): string {
  const unfinished = `${input.length} bytes in, ${output.length} bytes out`;
  if (channel.kind === "socket") return unfinished;
  const target = channel.target === null ? "" : `, acts for domain ${channel.target}`;
  return `${unfinished}${target}`;
}

const watches = (state: StoreState): Facts =>
  new Map(
    state.connections.flatMap((one) =>
      one.watches.map(({ path, token, depth }): [string, string] => [
        `${channelName(one.channel)}: ${path} (${valueText(token)})`,
        depth === null ? "all levels" : `depth ${depth}`,
      ]),
    ),
  );

const transactions = (state: StoreState): Facts =>
  new Map(
    state.connections.flatMap((one) =>
      one.transactions.map(({ id, nodes }): [string, string] => [
        `${channelName(one.channel)}: transaction ${id}`,
        `${nodes.length} nodes touched`,
      ]),
    ),
  );

const quotas = (state: StoreState): Facts =>
  new Map([
    ...[...state.quotas.perDomain, ...state.quotas.global].map(
      ({ name, value }): [string, string] => [name, String(value)],
    ),
    ...state.domains.flatMap(({ domid, features, quotas: own }) => [
      [`domain ${domid}: features`, String(features)] as [string, string],
      ...own.map(({ name, value }): [string, string] => [
        `domain ${domid}: ${name}`,
        String(value),
      ]),
    ]),
  ]);
