// How an arena begins, and how one that is there is taken over.

import { hex } from "../base/index.ts";
import { Arena, assertEmpty, StoreDamagedError } from "./arena.ts";
import { sumBytes } from "./bytes-copy.ts";
import { findAgain, SPECIAL } from "./connections.ts";
import { Core } from "./core.ts";
import { EventQueue } from "./event-queue.ts";
import { commit } from "./heap.ts";
import { createIndex } from "./index-table.ts";
import { ARENA_VERSION, HEADER, HEADER_AREA_BYTES, MAGIC, OWNER } from "./layout.ts";
import { ANY_DOMID, PERMISSION, permissionWord } from "./permission.ts";
import { LOG_SWITCH, QUOTAS } from "./limits.ts";
import { LOG_BYTES, settleLog } from "./operation.ts";
import { Path } from "./path.ts";
import type { Host, StoreMemory } from "./ports.ts";
import type { StoreOptions } from "./store.ts";
import { addNode, type Content, reclaim } from "./tree.ts";

const START_BYTES = 256 * 1024;
const FIRST_TAG = 1;

const constantsSum = (words: Int32Array): number => sumBytes(words, 0, HEADER.constantsSum * 4, 7);

function coreOver(arena: Arena, host: Host): Core {
  const seed = arena.words[HEADER.seed]!;
  const paths = { path: new Path(seed), walk: new Path(seed), events: new EventQueue() };
  return new Core(arena, host, paths);
}

/** The nodes every store starts with, as the C daemon makes them, with its generations. */
function addFirstNodes(core: Core): void {
  const { arena, path } = core;
  const owner = permissionWord(core.privilegedDomid, PERMISSION.none);
  const permissions = Int32Array.of(owner, permissionWord(ANY_DOMID, PERMISSION.read));
  const content: Content = {
    permissions,
    permissionsAt: 0,
    permissionCount: 1,
    owner: -1,
    value: new Uint8Array(0),
    valueAt: 0,
    valueBytes: 0,
    generation: 0,
  };
  const add = (text: string, parent: number, count: number): number => {
    const bytes = Buffer.from(text);
    path.take(bytes, 0, bytes.length, 0, true);
    content.permissionCount = count;
    content.generation = core.nextGeneration();
    return addNode(core, path, path.levels, parent, content);
  };
  const root = add("/", 0, 1);
  const tool = add("/tool", root, 1);
  add("/tool/xenstored", tool, 1);
  arena.set(HEADER.root, root);
  arena.set(HEADER.releaseNode, add(SPECIAL.release, 0, 2));
  arena.set(HEADER.introduceNode, add(SPECIAL.introduce, 0, 1));
}

/** Makes a fresh store in memory that is all zeros. */
export function formatArena(memory: StoreMemory, host: Host, options: StoreOptions): Core {
  assertEmpty(memory);
  if (memory.buffer.byteLength < START_BYTES) memory.grow(START_BYTES);
  const arena = new Arena(memory);
  const { words } = arena;
  words[HEADER.version] = ARENA_VERSION;
  words[HEADER.seed] = options.seed | 0;
  words[HEADER.privilegedDomid] = options.privilegedDomid;
  words[HEADER.storeDomid] = options.storeDomid;
  words[HEADER.keepOrphans] = options.keepOrphans ? 1 : 0;
  words[HEADER.tag] = FIRST_TAG;
  words[HEADER.logSwitches] = LOG_SWITCH.obj | LOG_SWITCH.io;
  // The first block is the undo log, put there by hand: nothing can be undone before it.
  const logBytes = LOG_BYTES + 16;
  words[HEADER_AREA_BYTES >> 2] = logBytes;
  words[(HEADER_AREA_BYTES >> 2) + 2] = OWNER.log;
  words[HEADER.logBlock] = HEADER_AREA_BYTES;
  words[HEADER.lastBlock] = HEADER_AREA_BYTES;
  words[HEADER.endBytes] = HEADER_AREA_BYTES + logBytes;
  arena.tag = FIRST_TAG;
  arena.useLog();
  QUOTAS.forEach(({ name, value }, number) => {
    words[HEADER.quotas + number] = options.quotas[name] ?? value;
  });
  createIndex(arena, HEADER.nodeIndex, OWNER.nodeIndex);
  createIndex(arena, HEADER.watchIndex, OWNER.watchIndex);
  createIndex(arena, HEADER.overlayIndex, OWNER.overlayIndex);
  const core = coreOver(arena, host);
  addFirstNodes(core);
  commit(arena);
  // Last: what has no magic was never finished.
  MAGIC.forEach((value, index) => (arena.words[HEADER.magic + index] = value));
  arena.words[HEADER.constantsSum] = constantsSum(arena.words);
  return core;
}

/** Whether the memory holds a store that was finished. */
export const isArena = (memory: StoreMemory): boolean => {
  if (memory.buffer.byteLength < HEADER_AREA_BYTES) return false;
  const words = new Int32Array(memory.buffer, 0, MAGIC.length);
  return MAGIC.every((value, index) => words[index] === value);
};

/** XenStore.changePort of an arena that is not open yet; 0: none. */
export const changePortOf = (memory: StoreMemory): number =>
  new Int32Array(memory.buffer, 0, HEADER.changePort + 1)[HEADER.changePort]!;

function refuseIfDamaged(words: Int32Array, bytes: number): void {
  const damaged = (what: string): never => {
    throw new StoreDamagedError(`Cannot adopt the store: ${what}`);
  };
  const version = words[HEADER.version]!;
  if (version !== ARENA_VERSION) damaged(`wanted version ${ARENA_VERSION}, found ${version}`);
  if (words[HEADER.constantsSum] !== constantsSum(words)) damaged("the header's sum does not fit");
  const log = words[HEADER.logBlock]!;
  const isLogWithin = log >= HEADER_AREA_BYTES && log % 16 === 0 && log < bytes - 64;
  if (!isLogWithin) damaged(`the undo log stands at ${hex(log)}, outside the arena`);
  const size = words[log >> 2]!;
  if (size < 64 || size % 16 !== 0 || log + size > bytes) {
    damaged(`the undo log has ${size} bytes, more than the arena`);
  }
  if (words[(log >> 2) + 2] !== OWNER.log) damaged("the undo log's block is another one's");
}

/** The arena with what its last owner had left half done undone. Nothing else is looked at yet. */
export function openArena(memory: StoreMemory, host: Host): Core {
  const bytes = memory.buffer.byteLength;
  if (!isArena(memory)) {
    throw new StoreDamagedError(`Cannot adopt the store: no arena in these ${bytes} bytes`);
  }
  const arena = new Arena(memory);
  refuseIfDamaged(arena.words, bytes);
  arena.useLog();
  arena.undo();
  return coreOver(arena, host);
}

/** The arena while its owner still writes to it: only what never changes is looked at. */
export function awaitArena(memory: StoreMemory, host: Host): Core {
  if (!isArena(memory)) throw new StoreDamagedError("Cannot adopt the store: no arena is there");
  const core = coreOver(new Arena(memory), host);
  try {
    findAgain(core); // On trial, as it changes all the time: what it needs is at hand then.
  } catch (error) {
    if (!(error instanceof StoreDamagedError)) throw error;
  }
  return core;
}

/** Its owner has let go of it: the same as openArena() and settle(). */
export function takeArena(core: Core): void {
  const { arena } = core;
  arena.lookAgain();
  refuseIfDamaged(arena.words, arena.lengthBytes);
  arena.useLog();
  arena.undo();
  settle(core);
}

/** What remains to be done for an arena that is known to be whole. */
export function settle(core: Core): void {
  settleLog(core);
  findAgain(core);
  reclaim(core);
}
