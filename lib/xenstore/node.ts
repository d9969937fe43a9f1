// A node's row and block: where its parts stand, what it is charged for, what it adds to the
// digest.

import type { Arena } from "./arena.ts";
import { join, sumBytes } from "./bytes-copy.ts";
import type { Core } from "./core.ts";
import { HEADER, NODE, ROW_WORDS } from "./layout.ts";
import { domidOf } from "./permission.ts";

/** What the C daemon counts for a node besides what is in it, and for each permission. */
const NODE_HEAD_BYTES = 16;
const PERMISSION_BYTES = 8;

export const payloadOf = (arena: Arena, at: number): number => arena.words[at + NODE.block]! + 12;
export const nameBytesOf = (arena: Arena, row: number): number =>
  arena.words[row * ROW_WORDS + NODE.name]! & 0xffff;
export const permissionCountOf = (arena: Arena, row: number): number =>
  arena.words[row * ROW_WORDS + NODE.name]! >>> 16;
/** Byte offset of a node's name. */
export const nameAtOf = (arena: Arena, row: number): number =>
  payloadOf(arena, row * ROW_WORDS) + permissionCountOf(arena, row) * 4;
/** Word of a node's first permission, its owner. */
export const permissionsAtOf = (arena: Arena, row: number): number =>
  payloadOf(arena, row * ROW_WORDS) >> 2;
export const ownerOf = (arena: Arena, row: number): number =>
  domidOf(arena.words[permissionsAtOf(arena, row)]!);

/** Bytes of a node that its quota is about: what the C daemon would store. */
export const nodeBytesFor = (permissions: number, valueBytes: number, childBytes: number): number =>
  NODE_HEAD_BYTES + permissions * PERMISSION_BYTES + valueBytes + childBytes;

/** The same, and its path: what counts against the memory quota of its owner. */
export function chargeOf(arena: Arena, row: number): number {
  const at = row * ROW_WORDS;
  const { words } = arena;
  const bytes = nodeBytesFor(
    words[at + NODE.name]! >>> 16,
    words[at + NODE.valueBytes]!,
    words[at + NODE.childBytes]!,
  );
  return bytes + Math.max(1, words[at + NODE.pathBytes]!);
}

// ---- Digest ---------------------------------------------------------------------------------

/** Adds a sum of two words to the store's digest, or takes it out. */
export function addToDigest(core: Core, first: number, second: number, sign: 1 | -1): void {
  const { arena } = core;
  arena.set(HEADER.digest, (arena.words[HEADER.digest]! + sign * first) | 0);
  arena.set(HEADER.digest + 1, (arena.words[HEADER.digest + 1]! + sign * second) | 0);
}

export const firstSumOf = (words: Int32Array, at: number): number =>
  join(join(words[at + NODE.pathSum]!, words[at + NODE.contentSum]!), words[at + NODE.generation]!);
export const secondSumOf = (words: Int32Array, at: number): number =>
  join(
    words[at + NODE.generation]! ^ words[at + NODE.generation + 1]!,
    words[at + NODE.contentSum]! ^ Math.imul(words[at + NODE.pathSum]!, 5),
  );

/** Adds a node to the digest, or takes it out. */
export function digestNode(core: Core, row: number, sign: 1 | -1): void {
  const { words } = core.arena;
  const at = row * ROW_WORDS;
  addToDigest(core, firstSumOf(words, at), secondSumOf(words, at), sign);
}

/** Of permissions and value, as they stand in the block. */
export function contentSumOf(arena: Arena, row: number): number {
  const at = row * ROW_WORDS;
  const permissions = arena.words[at + NODE.name]! >>> 16;
  const payload = payloadOf(arena, at);
  const name = ((arena.words[at + NODE.name]! & 0xffff) + 3) & ~3;
  const sum = sumBytes(arena.words, payload, permissions * 4, 1);
  const valueAt = payload + permissions * 4 + name;
  return sumBytes(arena.words, valueAt, arena.words[at + NODE.valueBytes]!, sum);
}
