// The state that an arena holds, in the terms of all dumps. For a copy of an arena that is in use,
// or for one that nobody owns: what its last owner had left half done is undone in it first, and
// all of it is verified.
//
// What is not in an arena: requests and answers under way, frames of shared pages, descriptors of
// the daemon itself. They are its daemon's.

import { ACCOUNT, CONNECTION, DOMAIN, HEADER, OVERLAY } from "./layout.ts";
import { NODE, OVERLAY_MODIFIED_MASK, OVERLAY_PRESENT_MASK, ROW_WORDS } from "./layout.ts";
import { TRANSACTION, WATCH, WATCH_PATH } from "./layout.ts";
import { isStale } from "./access.ts";
import { StoreDamagedError } from "./arena.ts";
import { checkStore } from "./check.ts";
import { findAgain } from "./connections.ts";
import { type Core, View, viewNode } from "./core.ts";
import { isArena, openArena } from "./format.ts";
import { QUOTAS } from "./limits.ts";
import { hasFlag, pathAtOf, pathBytesOf, viewOverlay, wasAbsent } from "./overlay.ts";
import { domidOf, isIgnored, letterOf } from "./permission.ts";
import type { Host, StoreMemory } from "./ports.ts";
import { createStateBuilder, type Problem } from "./state/index.ts";
import { ABSENT_GENERATION, type Access, type Permission, type Quota } from "./state/index.ts";
import type { StateConnection, StateNode, StateWatch, StoreState } from "./state/index.ts";
import type { TransactionNode } from "./state/index.ts";
import { nameAtOf, nameBytesOf } from "./node.ts";
import { nextInSubtree } from "./tree.ts";

const NO_BYTES = new Uint8Array(0);
const DOMID_MAX = 0xffff;

/** Whether the bytes begin like an arena. */
export const isArenaFile = (bytes: Uint8Array): boolean => isArena(memoryOver(bytes));

/** The bytes of an arena, which are changed. Throws StoreDamagedError. */
export function stateOfArena(bytes: Uint8Array): StoreState {
  const core = openArena(memoryOver(bytes), NOBODY);
  const problems = checkStore(core);
  if (problems.length > 0) {
    throw new StoreDamagedError(`Cannot read the arena: ${problems.slice(0, 3).join("; ")}`);
  }
  findAgain(core);
  return stateOf(core);
}

/** Reading asks nobody for anything. */
const NOBODY = new Proxy({} as Host, {
  get: () => () => {
    throw new StoreDamagedError("Cannot read the arena: reading it has effects");
  },
});

function memoryOver(bytes: Uint8Array): StoreMemory {
  const buffer = new ArrayBuffer(Math.floor(bytes.length / 16) * 16);
  new Uint8Array(buffer).set(bytes.subarray(0, buffer.byteLength));
  return {
    buffer,
    grow: () => {
      throw new StoreDamagedError("Cannot read the arena: it grows when it is read");
    },
  };
}

function stateOf(core: Core): StoreState {
  const builder = createStateBuilder();
  builder.setGlobal({});
  accept(builder.setQuotas({ perDomain: globalQuotas(core), global: [] }));
  for (const row of rows(core, HEADER.firstConnection, CONNECTION.next)) {
    const connection = connectionAt(core, row);
    accept(builder.addConnection(connection));
    for (const watch of watchesOf(core, row)) accept(builder.addWatch(connection.id, watch));
    for (const { id, nodes } of transactionsOf(core, row)) {
      accept(builder.addTransaction(connection.id, id));
      const owner = { connectionId: connection.id, transactionId: id };
      for (const node of nodes) accept(builder.addTransactionNode(owner, node));
    }
  }
  for (const row of rows(core, HEADER.firstDomain, DOMAIN.next)) {
    const { words } = core.arena;
    const at = row * ROW_WORDS;
    const features = words[at + DOMAIN.features]! >>> 0;
    const quotas = ownLimits(core, at);
    accept(builder.addDomain({ domid: words[at + DOMAIN.domid]!, features, quotas }));
  }
  for (const node of nodesOf(core)) accept(builder.addNode(node));
  return builder.build();
}

/** A verified arena holds nothing that a state cannot; what else it is, is damage. */
function accept(problem: Problem | undefined): void {
  if (problem === undefined) return;
  const { field, expected, found } = problem;
  throw new StoreDamagedError(
    `Cannot read the arena: ${field}: wanted ${expected}, found ${found}`,
  );
}

/** The rows of a list that begins at a word of the header. */
function* rows(core: Core, first: number, next: number): Generator<number> {
  const { words } = core.arena;
  for (let row = words[first]!; row !== 0; row = words[row * ROW_WORDS + next]!) yield row;
}

const textAt = (core: Core, from: number, length: number): string =>
  Buffer.from(core.arena.bytes.buffer as ArrayBuffer, from, length).toString("latin1");

// ---- Nodes ----------------------------------------------------------------------------------

function* nodesOf(core: Core): Generator<StateNode> {
  const { arena } = core;
  const view = new View();
  const root = arena.words[HEADER.root]!;
  const pathOf = new Map<number, string>([[root, ""]]);
  for (let row = root; row !== 0; row = nextInSubtree(arena, root, row)) {
    if (row !== root) {
      const parent = pathOf.get(arena.words[row * ROW_WORDS + NODE.parent]!) ?? "";
      pathOf.set(row, `${parent}/${textAt(core, nameAtOf(arena, row), nameBytesOf(arena, row))}`);
    }
    viewNode(core, view, row);
    yield nodeOf(core, view, pathOf.get(row) || "/");
  }
  for (const special of [HEADER.releaseNode, HEADER.introduceNode]) {
    const row = arena.words[special]!;
    viewNode(core, view, row);
    yield nodeOf(core, view, textAt(core, nameAtOf(arena, row), nameBytesOf(arena, row)));
  }
}

const nodeOf = (core: Core, view: View, path: string): StateNode => ({
  path,
  ...contentOf(core, view),
  generation: BigInt(view.generation),
});

function contentOf(core: Core, view: View) {
  const permissions: Permission[] = [];
  for (let index = 0; index < view.permissionCount; index++) {
    const word = core.arena.words[view.permissionsAt + index]!;
    const domid = domidOf(word);
    if (domid < 0 || domid > DOMID_MAX) continue; // No domain has it: it never counts.
    const isStaleHere = index > 0 && isStale(core, word, view.generation);
    const access = letterOf(word) as Access;
    permissions.push({ access, domid, isIgnored: isIgnored(word) || isStaleHere });
  }
  const value = core.arena.bytes.slice(view.valueAt, view.valueAt + view.valueBytes);
  return { value, permissions };
}

// ---- Clients --------------------------------------------------------------------------------

function frameOf(core: Core, domain: number): number | null {
  const kept = core.arena.get64(domain * ROW_WORDS + DOMAIN.frame);
  return kept === 0 ? null : kept - 1;
}

const nothingFor0 = (value: number): number | null => (value === 0 ? null : value);

function connectionAt(core: Core, row: number) {
  const { words } = core.arena;
  const at = row * ROW_WORDS;
  const domain = words[at + CONNECTION.domain]!;
  const tag = words[at + CONNECTION.tag]!;
  const target = words[at + CONNECTION.target]!;
  const channel: StateConnection["channel"] =
    domain === 0
      ? { kind: "socket", fd: tag }
      : {
          kind: "ring",
          domid: words[at + CONNECTION.domid]!,
          target: target === -1 ? null : target,
          gfn: frameOf(core, domain),
          remotePort: nothingFor0(words[domain * ROW_WORDS + DOMAIN.port]!),
          localPort: nothingFor0(tag),
        };
  const buffers = { input: NO_BYTES, output: NO_BYTES, begunOutputBytes: 0 };
  return { id: words[at + CONNECTION.number]!, channel, uniqueId: null, ...buffers };
}

function* watchesOf(core: Core, connection: number): Generator<StateWatch> {
  const { words, bytes } = core.arena;
  let row = words[connection * ROW_WORDS + CONNECTION.firstWatch]!;
  for (; row !== 0; row = words[row * ROW_WORDS + WATCH.next]!) {
    const at = row * ROW_WORDS;
    const where = words[at + WATCH.path]! * ROW_WORDS;
    const from = words[where + WATCH_PATH.block]! + 12;
    const prefix = words[at + WATCH.prefixBytes]!;
    const path = textAt(core, from + prefix, words[where + WATCH_PATH.pathBytes]! - prefix);
    const tokenAt = words[at + WATCH.block]! + 12;
    const token = bytes.slice(tokenAt, tokenAt + words[at + WATCH.tokenBytes]!);
    const depth = words[at + WATCH.depth]!;
    yield { path: path === "" ? "/" : path, token, depth: depth === -1 ? null : depth };
  }
}

function* transactionsOf(core: Core, connection: number) {
  const { words } = core.arena;
  let row = words[connection * ROW_WORDS + CONNECTION.firstTransaction]!;
  for (; row !== 0; row = words[row * ROW_WORDS + TRANSACTION.next]!) {
    const at = row * ROW_WORDS;
    yield { id: words[at + TRANSACTION.id]! >>> 0, nodes: touchedBy(core, at) };
  }
}

/** Each is read at the first touch, also to be written: that is what a conflict is seen by. */
function* touchedBy(core: Core, transactionAt: number): Generator<TransactionNode> {
  const { arena } = core;
  const view = new View();
  let row = arena.words[transactionAt + TRANSACTION.firstNode]!;
  for (; row !== 0; row = arena.words[row * ROW_WORDS + OVERLAY.next]!) {
    const isThere = hasFlag(arena, row, OVERLAY_PRESENT_MASK);
    if (isThere) viewOverlay(core, view, row);
    const base = BigInt(arena.get64(row * ROW_WORDS + OVERLAY.base));
    yield {
      path: textAt(core, pathAtOf(arena, row), pathBytesOf(arena, row)) || "/",
      isRead: true,
      isWritten: hasFlag(arena, row, OVERLAY_MODIFIED_MASK),
      content: isThere ? contentOf(core, view) : null,
      generation: wasAbsent(arena, row) ? ABSENT_GENERATION : base,
    };
  }
}

// ---- Quotas ---------------------------------------------------------------------------------

const globalQuotas = (core: Core): Quota[] =>
  QUOTAS.map(({ name }, number) => ({
    name,
    value: core.arena.words[HEADER.quotas + number]! >>> 0,
  }));

/** Where a domain's limit differs from the one for all. */
function ownLimits(core: Core, at: number): Quota[] {
  const { words } = core.arena;
  const account = (words[at + DOMAIN.block]! + 12) >> 2;
  return QUOTAS.flatMap(({ name }, number) => {
    const limit = words[account + ACCOUNT.limit + number]!;
    return limit === -1 ? [] : [{ name, value: limit >>> 0 }];
  });
}
