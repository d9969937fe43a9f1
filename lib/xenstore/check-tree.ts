// Verifies the nodes: links, names, paths, sums, charges; and what is left of removed subtrees.

import type { Tally } from "./tally.ts";
import { expect } from "./check-space.ts";
import type { Core } from "./core.ts";
import { HEADER, KIND, NODE, ROW_WORDS } from "./layout.ts";
import { PATH_BYTES_MAX, PAYLOAD_BYTES_MAX } from "./limits.ts";
import { type Path, pathSum, ROOT_SUM } from "./path.ts";
import {
  chargeOf,
  contentSumOf,
  firstSumOf,
  nameAtOf,
  nameBytesOf,
  ownerOf,
  secondSumOf,
} from "./node.ts";

const NAME_LEVELS_MAX = PAYLOAD_BYTES_MAX;
const PATH_END_MAX = PAYLOAD_BYTES_MAX + PATH_BYTES_MAX;

/** A node's row and block are there and hold together. */
function claimNode(core: Core, tally: Tally, row: number, by: string): void {
  const { words } = core.arena;
  tally.space.claimRow(row, KIND.node, by);
  const at = row * ROW_WORDS;
  const name = words[at + NODE.name]!;
  const value = words[at + NODE.valueBytes]!;
  const head = (name >>> 16) * 4 + (((name & 0xffff) + 3) & ~3);
  expect(value >= 0 && value <= PAYLOAD_BYTES_MAX, `${by}: a value of ${value} bytes`);
  expect(name >>> 16 > 0, `${by}: a node without an owner`);
  tally.space.claimBlock(words[at + NODE.block]!, row, head + value, by);
  tally.nodes.expectRow(words[at + NODE.hash]!, row);
}

/** The node of the path is whole and says the right things about itself. */
function checkNode(core: Core, tally: Tally, path: Path, row: number): void {
  const { arena } = core;
  const { words } = arena;
  const at = row * ROW_WORDS;
  const what = `node "${pathText(path)}"`;
  expect(words[at + NODE.hash] === path.hashes[path.levels], `${what}: another hash`);
  expect(words[at + NODE.pathBytes] === path.length, `${what}: another length of its path`);
  const sum = pathSum(ROOT_SUM, path.bytes, 0, path.length);
  expect(words[at + NODE.pathSum] === sum, `${what}: another sum of its path`);
  expect(words[at + NODE.contentSum] === contentSumOf(arena, row), `${what}: another sum`);
  const isOld = arena.get64(at + NODE.generation) <= arena.get64(HEADER.storeGeneration);
  expect(isOld, `${what}: a generation that is still to come`);
  expect((words[at]! & ~0xff) === 0, `${what}: unknown flags`);
  tally.add(firstSumOf(words, at), secondSumOf(words, at));
  tally.charge(ownerOf(arena, row), 1, chargeOf(arena, row));
}

const pathText = (path: Path): string =>
  path.length === 0 ? "/" : Buffer.from(path.bytes.subarray(0, path.length)).toString("latin1");

/** Checks what hangs below a node, the node itself being checked. Tells how many it found. */
function checkChildren(core: Core, tally: Tally, path: Path, parent: number): number {
  const { arena } = core;
  const { words } = arena;
  const what = `children of "${pathText(path)}"`;
  let previous = 0;
  let bytes = 0;
  let count = 0;
  expect(path.levels < NAME_LEVELS_MAX, `${what}: too deep`);
  let row = words[parent * ROW_WORDS + NODE.firstChild]!;
  while (row !== 0) {
    claimNode(core, tally, row, what);
    const at = row * ROW_WORDS;
    expect(words[at + NODE.parent] === parent, `${what}: a child of another node`);
    expect(words[at + NODE.previous] === previous, `${what}: not linked both ways`);
    const length = nameBytesOf(arena, row);
    expect(length > 0 && path.length + length < PATH_END_MAX, `${what}: a name of ${length} bytes`);
    path.push(arena.bytes, nameAtOf(arena, row), length);
    const slash = path.bytes.indexOf(47, path.nameStart(path.levels));
    expect(slash < 0 || slash >= path.length, `${what}: a name with "/"`);
    checkNode(core, tally, path, row);
    count += 1 + checkChildren(core, tally, path, row);
    path.pop();
    bytes += length + 1;
    previous = row;
    row = words[at + NODE.next]!;
  }
  expect(words[parent * ROW_WORDS + NODE.lastChild] === previous, `${what}: another last child`);
  const counted = words[parent * ROW_WORDS + NODE.childBytes]!;
  expect(counted === bytes, `${what}: names of ${bytes} bytes, ${counted} are counted`);
  return count;
}

/** The root or a special node: nothing is above or beside it. */
function checkTop(core: Core, tally: Tally, path: Path, text: string, row: number): number {
  const { arena } = core;
  const { words } = arena;
  claimNode(core, tally, row, `node "${text}"`);
  const at = row * ROW_WORDS;
  const isAlone = words[at + NODE.parent] === 0 && words[at + NODE.previous] === 0;
  expect(isAlone && words[at + NODE.next] === 0, `node "${text}" has relatives`);
  const bytes = Buffer.from(text);
  path.take(bytes, 0, bytes.length, 0, true);
  const name = nameAtOf(arena, row);
  const found = Buffer.from(arena.bytes.subarray(name, name + nameBytesOf(arena, row)));
  expect(found.toString("latin1") === (text === "/" ? "" : text), `node "${text}": another name`);
  checkNode(core, tally, path, row);
  return 1 + checkChildren(core, tally, path, row);
}

/** Rows of removed subtrees: not counted any more, still in the index. */
function claimRemoved(core: Core, tally: Tally, top: number): void {
  const { words } = core.arena;
  for (let row = top; row !== 0; row = words[row * ROW_WORDS + NODE.next]!) {
    claimNode(core, tally, row, "a removed subtree");
    claimRemoved(core, tally, words[row * ROW_WORDS + NODE.firstChild]!);
  }
}

export function checkTree(core: Core, tally: Tally): void {
  const { words } = core.arena;
  const path = core.walk;
  const count =
    checkTop(core, tally, path, "/", words[HEADER.root]!) +
    checkTop(core, tally, path, "@releaseDomain", words[HEADER.releaseNode]!) +
    checkTop(core, tally, path, "@introduceDomain", words[HEADER.introduceNode]!);
  const counted = words[HEADER.nodeCount]!;
  expect(count === counted, `there are ${count} nodes, ${counted} are counted`);
  claimRemoved(core, tally, words[HEADER.reclaim]!);
}
