// Puts nodes into a live store: only what differs is written, in a transaction in which what is
// there was read too. So others see all of it or nothing, what changes meanwhile is noticed (it
// begins again), and watches fire for what was changed alone. Many nodes need several transactions.

import { RefusedError } from "../base/index.ts";
import type { Permission, StateNode } from "../xenstore/index.ts";
import type { StoreClient } from "./client.ts";
import { type Request, terminated } from "./messages.ts";
import { collect, isBelow, parentOf, readNodes, WITHOUT_TRANSACTION } from "./walk.ts";

export interface LoadOptions {
  /** Only what is at or below it. */
  readonly root: string;
  /** Nodes at or below `root` that are not among those given go. */
  readonly isExact: boolean;
  /** Only tells what would be done. */
  readonly isDryRun: boolean;
}

export interface LoadStep {
  readonly kind: "create" | "change" | "permissions" | "remove";
  readonly path: string;
}

export interface Loaded {
  readonly steps: readonly LoadStep[];
  /** Above 1: others could see the one's nodes and not yet the other's. */
  readonly transactions: number;
}

const ATTEMPTS = 5;
/** See walk.ts: the time that the C daemon takes over a transaction grows with the square of it. */
const BATCH_NODES = 1000;

/** What was done, or would be. Throws RefusedError: then nothing of that transaction was. */
export function load(
  client: StoreClient,
  nodes: readonly StateNode[],
  options: LoadOptions,
): Loaded {
  const wanted = nodes.filter(({ path }) => isBelow(path, options.root));
  const gone = options.isExact ? unwanted(client, wanted, options.root) : [];
  const steps: LoadStep[] = [];
  let transactions = 0;
  for (let at = 0; at < Math.max(wanted.length, gone.length); at += BATCH_NODES) {
    const batch = {
      wanted: wanted.slice(at, at + BATCH_NODES),
      gone: gone.slice(at, at + BATCH_NODES),
    };
    steps.push(...loadBatch(client, batch, options.isDryRun));
    transactions++;
  }
  return { steps, transactions };
}

interface Batch {
  readonly wanted: readonly StateNode[];
  readonly gone: readonly string[];
}

function loadBatch(client: StoreClient, batch: Batch, isDryRun: boolean): readonly LoadStep[] {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const transaction = client.startTransaction();
    let isOpen = true;
    try {
      const plan = planBatch(client, batch, transaction);
      if (!isDryRun) carryOut(client, plan);
      isOpen = false;
      const isKept = client.endTransaction(transaction, !isDryRun);
      if (isKept) return plan.map(({ kind, path }) => ({ kind, path }));
    } finally {
      if (isOpen) client.endTransaction(transaction, false);
    }
  }
  const found = "that it was changed during each of them";
  const attempt = `Cannot load into "${client.connection.path}"`;
  throw new RefusedError(`${attempt}: wanted one of ${ATTEMPTS} undisturbed, found ${found}`);
}

/** The tops of what is below `root` and not wanted. */
function unwanted(client: StoreClient, wanted: readonly StateNode[], root: string): string[] {
  const found = collect(client, { root, ...WITHOUT_TRANSACTION });
  if (found === "ENOENT") return [];
  if (typeof found === "string") throw client.refusal("DIRECTORY", root, found);
  const kept = new Set(["/", ...wanted.map(({ path }) => path)]);
  return found
    .map(({ path }) => path)
    .filter((path) => path.startsWith("/") && !kept.has(path) && kept.has(parentOf(path)));
}

/** A step, and what the daemon is asked for it. */
interface PlannedStep extends LoadStep {
  readonly requests: readonly Request[];
  /** Of the permissions that are set: it has to exist. */
  readonly owner: number | undefined;
}

function carryOut(client: StoreClient, plan: readonly PlannedStep[]): void {
  const answers = client.connection.exchange(plan.flatMap(({ requests }) => requests));
  let at = 0;
  for (const { path, requests, owner } of plan) {
    for (const { operation } of requests) {
      const answer = answers[at++];
      if (answer === undefined || answer.ok) continue;
      if (operation === "RM" && answer.error === "ENOENT") continue; // It went by itself.
      if (operation !== "SET_PERMS" || answer.error !== "ENOENT") {
        throw client.refusal(operation, path, answer.error);
      }
      const found = `that domain ${owner}, its owner there, does not exist (ENOENT)`;
      throw new RefusedError(
        `Cannot set the permissions of "${path}" of "${client.connection.path}": found ${found}`,
      );
    }
  }
}

/** An ignored entry is not set again: it would count if its domain is there now. */
const counting = (permissions: readonly Permission[]): readonly Permission[] =>
  permissions.filter(({ isIgnored }, index) => index === 0 || !isIgnored);

const words = (permissions: readonly Permission[]): string[] =>
  permissions.map(({ access, domid }) => `${access}${domid}`);

/** The C daemon lists ignored entries like others, so that either list is the same one. */
const isSameList = (wanted: readonly Permission[], there: readonly Permission[]): boolean =>
  [wanted, counting(wanted)].some((list) => words(list).join() === words(there).join());

function planBatch(client: StoreClient, batch: Batch, transaction: number): PlannedStep[] {
  const paths = batch.wanted.map(({ path }) => path);
  const nodes = readNodes(client, paths, transaction);
  const live = new Map(nodes.map((node) => [node.path, node]));
  const removals = batch.gone.map((path): PlannedStep => ({
    kind: "remove",
    path,
    requests: [{ operation: "RM", payload: terminated(path), transaction }],
    owner: undefined,
  }));
  const steps = batch.wanted.flatMap((node): PlannedStep[] => {
    const { path, value, permissions } = node;
    const there = live.get(path);
    const isSpecial = path.startsWith("@");
    if (isSpecial && there === undefined) return []; // This daemon has no permissions of it.
    const hasValue = isSpecial || (there !== undefined && Buffer.compare(there.value, value) === 0);
    const isRight = there !== undefined && isSameList(permissions, there.permissions);
    if (hasValue && isRight) return [];
    const list = counting(permissions);
    const write = { operation: "WRITE", payload: written(path, value), transaction } as const;
    const set = {
      operation: "SET_PERMS",
      payload: terminated(path, ...words(list)),
      transaction,
    } as const;
    const kind = there === undefined ? "create" : hasValue ? "permissions" : "change";
    const requests = [...(hasValue ? [] : [write]), ...(isRight ? [] : [set])];
    return [{ kind, path, requests, owner: list[0]?.domid }];
  });
  return [...removals, ...steps];
}

const written = (path: string, value: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([terminated(path), value]));
