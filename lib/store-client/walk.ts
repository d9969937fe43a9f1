// All nodes below a path of a live store, as a state. Breadth first, so that many requests are
// under way at once; handed on parents first, children in the daemon's order.
//
// In a transaction that reads only: where its end is accepted, nothing of what was read had changed
// meanwhile. oxenstored shows a transaction one moment of the store and always accepts; the C
// daemon's answer is EAGAIN when something changed, and the walk begins again. The C daemon looks
// through all nodes of a transaction at each access: 4000 take it a second, 100,000 half an hour,
// in which it serves nobody well. So a larger store is walked without one.

import { RefusedError } from "../base/index.ts";
import {
  EMPTY_STATE,
  type Permission,
  type StateNode,
  type StoreState,
} from "../xenstore/index.ts";
import type { StoreClient } from "./client.ts";
import type { Answer } from "./connection.ts";
import { type OperationName, stringsOf, terminated } from "./messages.ts";

export interface WalkOptions {
  /** "/", or where to begin. */
  readonly root: string;
  /** How often it is tried in one transaction; 0: only without. */
  readonly attempts: number;
  /** More are not read in a transaction. */
  readonly transactionNodesMax: number;
}

export interface Walked {
  readonly nodes: readonly StateNode[];
  /** Whether all of it is of one moment. */
  readonly isConsistent: boolean;
  /** Why it is not, for people. */
  readonly note: string | undefined;
}

export const WALK_ATTEMPTS = 3;
export const TRANSACTION_NODES_MAX = 4000;
const SPECIAL_NODES = ["@releaseDomain", "@introduceDomain"] as const;
/** Deeper than any path can be: 3072 bytes of "/a". */
const DEPTH_MAX = 1600;
/** A transaction has a quota for what it touches, or the daemon knows none of this kind. */
const CANNOT_HOLD: ReadonlySet<string> = new Set(["ENOSPC", "EQUOTA", "ENOMEM", "E2BIG"]);

/** Throws RefusedError. */
export function walk(client: StoreClient, options: WalkOptions): Walked {
  const { root, attempts, transactionNodesMax: most } = options;
  let note = "no transaction was asked for";
  for (let attempt = 0; attempt < attempts; attempt++) {
    const transaction = client.startTransaction();
    const found = collect(client, { root, transaction, most });
    const isHeld = typeof found !== "string";
    const isWhole = client.endTransaction(transaction, isHeld);
    if (isHeld && isWhole) return { nodes: found, isConsistent: true, note: undefined };
    if (!isHeld) {
      note = `the daemon does not hold so much in one transaction (${found})`;
      break;
    }
    note = `the store changed during each of ${attempts} walks`;
  }
  const nodes = collect(client, { root, ...WITHOUT_TRANSACTION });
  if (typeof nodes === "string") throw client.refusal("DIRECTORY", root, nodes);
  return { nodes, isConsistent: false, note };
}

/** What is below a path, as the daemon lists it: oxenstored has the special nodes below "/". */
export function listNodes(client: StoreClient, root: string): readonly StateNode[] {
  const found = reached(client, { root, ...WITHOUT_TRANSACTION });
  if (typeof found === "string") throw client.refusal("DIRECTORY", root, found);
  return [...inOrder(found, root)].slice(1);
}

/** The nodes as a state of which nothing else is known. */
export const stateOfNodes = (nodes: readonly StateNode[]): StoreState => ({
  ...EMPTY_STATE,
  nodes,
});

interface Found extends StateNode {
  readonly children: readonly string[];
}

export const isBelow = (path: string, root: string): boolean =>
  root === "/" || path === root || path.startsWith(`${root}/`);

/** "/" for "/tool". */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

export interface Reach {
  readonly root: string;
  readonly transaction: number;
  /** More nodes are given up. */
  readonly most: number;
}

export const WITHOUT_TRANSACTION = { transaction: 0, most: Number.POSITIVE_INFINITY } as const;

/** In pre-order; or the daemon's word for why it cannot be had in this transaction. */
export function collect(client: StoreClient, reach: Reach): StateNode[] | string {
  const found = reached(client, reach);
  if (typeof found === "string") return found;
  const { root } = reach;
  const specials = root === "/" ? specialNodes(client, found) : [];
  const nodes = [...inOrder(found, root)].map((node) => ({ ...node, path: ownName(node.path) }));
  return [...nodes, ...specials];
}

function reached(
  client: StoreClient,
  { root, transaction, most }: Reach,
): Map<string, Found> | string {
  const found = new Map<string, Found>();
  let level: readonly string[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEPTH_MAX) {
      throw new RefusedError(`Cannot list "${root}": it is deeper than any path can be`);
    }
    const next: string[] = [];
    const nodes = readLevel(client, level, transaction);
    if (typeof nodes === "string") return nodes;
    for (const node of nodes) {
      found.set(node.path, node);
      for (const name of node.children) next.push(childOf(node.path, name));
    }
    if (found.size + next.length > most) return `more than ${most} nodes`;
    level = next;
  }
  return found.has(root) ? found : "ENOENT";
}

const NO_VALUE = new Uint8Array(0);
const childOf = (path: string, name: string): string => `${path === "/" ? "" : path}/${name}`;

/** What is gone since its parent was listed is left out. */
function readLevel(
  client: StoreClient,
  paths: readonly string[],
  transaction: number,
): Found[] | string {
  const request = (operation: OperationName, path: string) =>
    ({ operation, payload: terminated(path), transaction }) as const;
  const answers = client.connection.exchange(
    paths.flatMap((path) => [
      request("DIRECTORY", path),
      request("READ", path),
      request("GET_PERMS", path),
    ]),
  );
  const nodes: Found[] = [];
  for (const [index, path] of paths.entries()) {
    const [directory, value, permissions] = answers.slice(3 * index, 3 * index + 3);
    const error = [directory, value, permissions].map(errorOf).find((one) => one !== undefined);
    if (error !== undefined && transaction !== 0 && CANNOT_HOLD.has(error)) return error;
    if (error === "ENOENT") continue;
    if (error !== undefined) throw client.refusal("READ", path, error);
    nodes.push({
      path,
      value: payloadOf(value),
      permissions: client.permissionsOf(path, payloadOf(permissions)),
      generation: null,
      children: isTooBig(directory)
        ? client.directory(path, transaction)
        : stringsOf(payloadOf(directory)),
    });
  }
  return nodes;
}

/** Of these nodes those that are there, special ones with their permissions alone. */
export function readNodes(
  client: StoreClient,
  paths: readonly string[],
  transaction: number,
): StateNode[] {
  const answers = client.connection.exchange(
    paths.flatMap((path) =>
      (["READ", "GET_PERMS"] as const).map((operation) => ({
        operation,
        payload: terminated(path),
        transaction,
      })),
    ),
  );
  return paths.flatMap((path, index): StateNode[] => {
    const [value, permissions] = answers.slice(2 * index, 2 * index + 2);
    const isSpecial = path.startsWith("@");
    const error = errorOf(permissions) ?? (isSpecial ? undefined : errorOf(value));
    if (error === "ENOENT" || (isSpecial && error === "EINVAL")) return []; // C before 4.18.
    if (error !== undefined) throw client.refusal("READ", path, error);
    const list = client.permissionsOf(path, payloadOf(permissions));
    return [{ path, value: payloadOf(value), permissions: list, generation: null }];
  });
}

const errorOf = (answer: Answer | undefined): string | undefined =>
  answer?.ok === false && !isTooBig(answer) ? answer.error : undefined;

/** A list of children that needs more than one reply. */
const isTooBig = (answer: Answer | undefined): boolean =>
  answer?.ok === false && answer.error === "E2BIG";

const payloadOf = (answer: Answer | undefined): Uint8Array =>
  answer?.ok === true ? answer.payload : NO_VALUE;

/**
 * The nodes that events are bound to. oxenstored lists them below "/" already; the C daemon has
 * only permissions of them, and those not in a transaction's view.
 */
function specialNodes(client: StoreClient, found: Map<string, Found>): StateNode[] {
  return SPECIAL_NODES.flatMap((path) => {
    if (found.has(`/${path}`)) return [];
    const answer = client.ask("GET_PERMS", terminated(path), 0);
    if (!answer.ok) return [];
    const permissions: Permission[] = client.permissionsOf(path, answer.payload);
    return [{ path, value: NO_VALUE, permissions, generation: null }];
  });
}

/** Without recursion: a path may have a thousand levels. */
function* inOrder(found: ReadonlyMap<string, Found>, root: string): Generator<StateNode> {
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const node = found.get(path);
    if (node === undefined) continue;
    const { children, value, permissions, generation } = node;
    yield { path, value, permissions, generation };
    for (const name of children.toReversed()) waiting.push(childOf(path, name));
  }
}

const ownName = (path: string): string =>
  SPECIAL_NODES.some((name) => path === `/${name}`) ? path.slice(1) : path;
