// A store made from a state: for a daemon that takes over from one of another kind. The opposite of
// state-of.ts.
//
// What becomes of each part: nodes, permissions, generations, watches, quotas, domains and
// connections are as the state has them; what the daemon keeps outside the arena (requests and
// answers under way, descriptors, frames) it takes from the state itself. Transactions are not
// made: no dump tells what of the children a transaction had seen, so that their clients are told
// that there is no such transaction, as the C daemon does after its update.

import { ALL_FEATURES, knowDomain, setLimit } from "./account.ts";
import { ArenaFullError } from "./arena.ts";
import { addConnection, attach } from "./connections.ts";
import type { Core } from "./core.ts";
import { setFrame } from "./domain-operations.ts";
import { formatArena } from "./format.ts";
import { CONNECTION, DOMAIN, HEADER, NODE, ROW_WORDS } from "./layout.ts";
import { QUOTAS } from "./limits.ts";
import { adoptStore } from "./open-store.ts";
import { run } from "./operation.ts";
import { IGNORED_MASK, PERMISSION, permissionWord } from "./permission.ts";
import type { Host, StoreMemory } from "./ports.ts";
import type { Permission, Quota, StateConnection, StateNode } from "./state/index.ts";
import type { RingChannel, StoreState } from "./state/index.ts";
import type { StoreOptions, XenStore } from "./store.ts";
import { addNode, findNode, removeSubtree, writePermissions, writeValue } from "./tree.ts";
import { addWatch } from "./watch.ts";

export interface MadeStore {
  readonly store: XenStore;
  /** Numbers of its connections, by their ids in the state. */
  readonly connections: ReadonlyMap<number, number>;
}

/**
 * Makes a store in memory that is all zeros. The state was read or built by a codec: it holds what
 * it must. Throws ArenaFullError where the memory cannot grow.
 */
export function storeFrom(
  state: StoreState,
  memory: StoreMemory,
  { host, options }: { readonly host: Host; readonly options: StoreOptions },
): MadeStore {
  const core = formatArena(memory, host, options);
  whole(core, () => putQuotas(core, state));
  for (const { domid, features, quotas } of state.domains) {
    whole(core, () => putDomain(core, { domid, features, quotas }));
  }
  const connections = new Map<number, number>();
  for (const connection of state.connections) {
    let row = 0;
    whole(core, () => (row = putConnection(core, connection)));
    connections.set(connection.id, core.arena.words[row * ROW_WORDS + CONNECTION.number]!);
    for (const watch of connection.watches) {
      whole(core, () => {
        const domid = core.arena.words[row * ROW_WORDS + CONNECTION.domid]!;
        const path = Buffer.from(watch.path, "latin1");
        core.path.take(path, 0, path.length, domid, true);
        addWatch(core, row, watch.depth ?? -1, watch.token, 0, watch.token.length);
      });
    }
  }
  if (state.nodes.length > 0) whole(core, () => clear(core));
  let generation = core.arena.get64(HEADER.storeGeneration);
  for (const node of state.nodes) {
    whole(core, () => putNode(core, node));
    generation = Math.max(generation, generationOf(node) ?? 0);
  }
  whole(core, () => {
    const current = core.arena.get64(HEADER.storeGeneration);
    core.arena.set64(HEADER.storeGeneration, Math.max(current, generation));
  });
  return { store: adoptStore(memory, host), connections };
}

function whole(core: Core, step: () => unknown): void {
  const errno = run(core, () => {
    step();
    return 0;
  });
  if (errno !== 0) throw new ArenaFullError("Cannot make a store of the state: no memory for it");
}

/** Limits of names that only another daemon knows have no place here. */
const eachQuota = (quotas: readonly Quota[], put: (quota: number, value: number) => void): void => {
  for (const { name, value } of quotas) {
    const quota = QUOTAS.findIndex((known) => known.name === name);
    if (quota >= 0) put(quota, value | 0);
  }
};

function putQuotas(core: Core, { quotas }: StoreState): void {
  eachQuota([...quotas.perDomain, ...quotas.global], (quota, value) =>
    core.arena.set(HEADER.quotas + quota, value),
  );
}

/** A domain that has been there for ever: entries for it count, unless they are marked. */
function oldDomain(core: Core, domid: number): number {
  const row = knowDomain(core, domid);
  const at = row * ROW_WORDS + DOMAIN.generation;
  if (row !== 0 && core.arena.get64(at) !== 0) core.arena.set64(at, 0);
  return row;
}

function putDomain(core: Core, domain: StoreState["domains"][number]): void {
  const row = oldDomain(core, domain.domid);
  core.arena.set(row * ROW_WORDS + DOMAIN.features, domain.features & ALL_FEATURES);
  eachQuota(domain.quotas, (quota, value) => setLimit(core, row, quota, value));
}

function putConnection(core: Core, { channel }: StateConnection): number {
  if (channel.kind === "socket") {
    return addConnection(core, core.storeDomid, { domain: 0, tag: channel.fd });
  }
  const domain = oldDomain(core, channel.domid);
  const row = attach(core, channel.domid);
  core.arena.set(domain * ROW_WORDS + DOMAIN.port, channel.remotePort ?? 0);
  setFrame(core, domain, frameOf(channel));
  core.arena.set(row * ROW_WORDS + CONNECTION.tag, channel.localPort ?? 0);
  core.arena.set(row * ROW_WORDS + CONNECTION.target, channel.target ?? -1);
  return row;
}

const frameOf = ({ gfn }: RingChannel): number | undefined =>
  gfn === null || gfn <= 0 ? undefined : gfn;

// ---- Nodes ----------------------------------------------------------------------------------

/** A fresh store has /tool, which the state may have elsewhere, or not at all. */
function clear(core: Core): void {
  const tool = core.arena.words[core.arena.words[HEADER.root]! * ROW_WORDS + NODE.firstChild]!;
  if (tool !== 0) removeSubtree(core, tool);
}

const ACCESS = {
  n: PERMISSION.none,
  r: PERMISSION.read,
  w: PERMISSION.write,
  b: PERMISSION.read | PERMISSION.write,
} as const;

function wordsOf(core: Core, permissions: readonly Permission[]): Int32Array {
  return Int32Array.from(permissions, ({ access, domid, isIgnored }, index) => {
    if (index > 0 && isIgnored) return permissionWord(domid, ACCESS[access]) | IGNORED_MASK;
    oldDomain(core, domid);
    return permissionWord(domid, ACCESS[access]);
  });
}

/** The count goes on from the highest: one that leaves no room for that is given anew. */
const GENERATION_MAX = 2n ** 52n;

const generationOf = ({ generation }: StateNode): number | undefined =>
  generation === null || generation > GENERATION_MAX ? undefined : Number(generation);

function putNode(core: Core, node: StateNode): void {
  const { path } = core;
  const { value } = node;
  const bytes = Buffer.from(node.path, "latin1");
  path.take(bytes, 0, bytes.length, 0, true);
  const permissions = wordsOf(core, node.permissions);
  const generation = generationOf(node) ?? core.nextGeneration();
  const there = findNode(core, path, path.levels);
  if (there !== 0) {
    writePermissions(core, there, permissions, 0, permissions.length, generation);
    writeValue(core, there, value, 0, value.length, generation);
    return;
  }
  if (path.isSpecial) return; // Nothing is bound to it here.
  addNode(core, path, path.levels, findNode(core, path, path.levels - 1), {
    permissions,
    permissionsAt: 0,
    permissionCount: permissions.length,
    owner: -1,
    value,
    valueAt: 0,
    valueBytes: value.length,
    generation,
  });
}
