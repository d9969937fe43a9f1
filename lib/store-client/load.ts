// Puts nodes into a live store: only what differs is written, and all of it in one transaction, in
// which what is there was read too. So others see all of it or nothing, what changes meanwhile is
// noticed (it begins again), and watches fire for what was changed alone.

import { RefusedError } from "../base/index.ts";
import type { Permission, StateNode } from "../xenstore/index.ts";
import type { StoreClient } from "./client.ts";
import { type Request, terminated } from "./messages.ts";
import { collect, isBelow, parentOf, readNodes } from "./walk.ts";

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

const ATTEMPTS = 5;

/** What was done, or would be. Throws RefusedError: then nothing was. */
export function load(
  client: StoreClient,
  nodes: readonly StateNode[],
  options: LoadOptions,
): readonly LoadStep[] {
  const wanted = nodes.filter(({ path }) => isBelow(path, options.root));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const transaction = client.startTransaction();
    let isOpen = true;
    try {
      const request = { wanted, options, transaction };
      const plan = planLoad({ ...request, live: liveNodes(client, request) });
      if (!options.isDryRun) carryOut(client, plan);
      isOpen = false;
      const isKept = client.endTransaction(transaction, !options.isDryRun);
      if (isKept) return plan.map(({ kind, path }) => ({ kind, path }));
    } finally {
      if (isOpen) client.endTransaction(transaction, false);
    }
  }
  const found = "that it was changed during each of them";
  const attempt = `Cannot load into "${client.connection.path}"`;
  throw new RefusedError(`${attempt}: wanted one of ${ATTEMPTS} undisturbed, found ${found}`);
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

interface Live {
  readonly wanted: readonly StateNode[];
  readonly options: LoadOptions;
  readonly transaction: number;
}

/** What is there of what matters: everything where the rest is to go, else what may change. */
function liveNodes(client: StoreClient, live: Live): ReadonlyMap<string, StateNode> {
  const { wanted, options, transaction } = live;
  const paths = options.isExact ? undefined : wanted.map(({ path }) => path);
  const nodes =
    paths === undefined
      ? allBelow(client, options.root, transaction)
      : readNodes(client, paths, transaction);
  return new Map(nodes.map((node) => [node.path, node]));
}

function allBelow(client: StoreClient, root: string, transaction: number): readonly StateNode[] {
  const found = collect(client, root, transaction);
  if (typeof found !== "string") return found;
  if (found === "ENOENT") return [];
  throw client.refusal("DIRECTORY", root, found);
}

/** An ignored entry is not set again: it would count if its domain is there now. */
const counting = (permissions: readonly Permission[]): readonly Permission[] =>
  permissions.filter(({ isIgnored }, index) => index === 0 || !isIgnored);

const words = (permissions: readonly Permission[]): string[] =>
  permissions.map(({ access, domid }) => `${access}${domid}`);

/** The C daemon lists ignored entries like others, so that either list is the same one. */
const isSameList = (wanted: readonly Permission[], there: readonly Permission[]): boolean =>
  [wanted, counting(wanted)].some((list) => words(list).join() === words(there).join());

interface Planned extends Live {
  readonly live: ReadonlyMap<string, StateNode>;
}

function planLoad({ live, wanted, options, transaction }: Planned): PlannedStep[] {
  const steps = wanted.flatMap((node): PlannedStep[] => {
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
  if (!options.isExact) return steps;
  const kept = new Set(wanted.map(({ path }) => path));
  const gone = [...live.keys()].filter((path) => isRemovable(path, kept));
  return [
    ...gone.map((path): PlannedStep => ({
      kind: "remove",
      path,
      requests: [{ operation: "RM", payload: terminated(path), transaction }],
      owner: undefined,
    })),
    ...steps,
  ];
}

/** Its parent stays: with a node all below it goes. */
const isRemovable = (path: string, kept: ReadonlySet<string>): boolean =>
  path.startsWith("/") && path !== "/" && !kept.has(path) && kept.has(parentOf(path));

const written = (path: string, value: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([terminated(path), value]));
