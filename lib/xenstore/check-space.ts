// Verifies how the arena's space is divided: blocks, free lists, rows. Nothing is followed before
// it is known to lead inside, and nothing is followed twice, so that a damaged arena is a finding
// and never a crash or a loop.

import { hex } from "../base/index.ts";
import type { Arena } from "./arena.ts";
import { binOf } from "./heap.ts";
import {
  BIN_COUNT,
  BLOCK_HEAD_BYTES,
  BLOCK_UNIT_BYTES,
  HEADER,
  HEADER_AREA_BYTES,
  KIND,
  KIND_MASK,
  OWNER,
  ROW,
  ROW_BYTES,
  ROW_WORDS,
} from "./layout.ts";
import { ROWS_PER_BLOCK } from "./rows.ts";

/** Thrown inside a check: what is wrong, in words. Never leaves it. */
export class Damage extends Error {
  override readonly name = "Damage";
}

export function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Damage(what);
}

/** What stands at a unit of 16 bytes. */
const BLOCK = { none: 0, used: 1, free: 2, claimed: 3 } as const;
/** What stands at a place of 64 bytes. */
const PLACE = { none: 0, row: 1, free: 2, claimed: 3 } as const;

/** Each is less than a millisecond of work. */
const STEPS_PER_BREATH = 1024;
const UNITS_PER_BREATH = 65_536;

export class Space {
  private readonly arena: Arena;
  private readonly breathe: () => void;
  private readonly blocks: Uint8Array;
  private readonly places: Uint8Array;
  private rowCount = 0;
  private steps = 0;

  constructor(arena: Arena, breathe: () => void = () => undefined) {
    this.arena = arena;
    this.breathe = breathe;
    const end = arena.words[HEADER.endBytes]!;
    const isFit =
      end > HEADER_AREA_BYTES && end % BLOCK_UNIT_BYTES === 0 && end <= arena.lengthBytes;
    expect(isFit, `the arena ends at ${hex(end)}, outside its memory`);
    this.blocks = new Uint8Array(end / BLOCK_UNIT_BYTES);
    this.places = new Uint8Array(Math.ceil(end / ROW_BYTES));
    this.walkBlocks(end);
    this.walkFreeLists();
    this.walkRows();
    this.walkFreeRows();
  }

  /** Takes a row for its only owner: it must be there, be of this kind and be taken by nobody. */
  claimRow(row: number, kind: number, by: string): void {
    this.step();
    const isRow = row > 0 && row < this.places.length && this.places[row] === PLACE.row;
    expect(isRow, `${by} leads to row ${row}, which is none or belongs to another`);
    const found = this.arena.words[row * ROW_WORDS]! & KIND_MASK;
    expect(found === kind, `${by} leads to row ${row} of kind ${found}, wanted ${kind}`);
    this.places[row] = PLACE.claimed;
    this.rowCount--;
  }

  /** Takes a block that has to hold so many bytes for its owner. */
  claimBlock(block: number, owner: number, bytes: number, by: string): void {
    const unit = block / BLOCK_UNIT_BYTES;
    const isBlock = Number.isInteger(unit) && unit >= 0 && this.blocks[unit] === BLOCK.used;
    expect(isBlock, `${by} has its bytes at ${hex(block >>> 0)}, where no block is`);
    const found = this.arena.words[(block >> 2) + 2]!;
    expect(found === owner, `${by} has a block of ${found}, wanted ${owner}`);
    const capacity = this.arena.words[block >> 2]! - BLOCK_HEAD_BYTES;
    expect(bytes >= 0 && bytes <= capacity, `${by} has ${bytes} bytes in a block of ${capacity}`);
    this.blocks[unit] = BLOCK.claimed;
  }

  /** Takes blocks of this owner that nothing leads to. */
  claimStray(owner: number): void {
    for (let unit = 0; unit < this.blocks.length; unit++) {
      if (this.blocks[unit] !== BLOCK.used) continue;
      if (this.arena.words[unit * 4 + 2] === owner) this.blocks[unit] = BLOCK.claimed;
    }
  }

  /** Everything belongs to somebody. */
  expectAllClaimed(): void {
    expect(this.rowCount === 0, `${this.rowCount} rows in use belong to nothing`);
    const stray = this.blocks.indexOf(BLOCK.used);
    expect(stray < 0, `the block at ${hex(stray * BLOCK_UNIT_BYTES)} belongs to nothing`);
  }

  private step(): void {
    this.steps = (this.steps + 1) % STEPS_PER_BREATH;
    if (this.steps === 0) this.breathe();
  }

  private walkBlocks(end: number): void {
    const { words } = this.arena;
    let before = 0;
    let wasFree = false;
    let freeBytes = 0;
    let block = HEADER_AREA_BYTES;
    while (block < end) {
      this.step();
      const size = words[block >> 2]!;
      const bytes = size & ~1;
      const isFree = (size & 1) !== 0;
      const isFit = bytes > 0 && bytes % BLOCK_UNIT_BYTES === 0 && bytes <= end - block;
      expect(isFit, `the block at ${hex(block)} has size ${bytes}`);
      const found = words[(block >> 2) + 1]!;
      expect(found === before, `the block at ${hex(block)} follows one of ${before}, not ${found}`);
      expect(!(isFree && wasFree), `two free blocks are neighbours at ${hex(block)}`);
      this.blocks[block / BLOCK_UNIT_BYTES] = isFree ? BLOCK.free : BLOCK.used;
      if (isFree) freeBytes += bytes;
      before = bytes;
      wasFree = isFree;
      block += bytes;
    }
    expect(words[HEADER.lastBlock] === end - before, "the last block is another one");
    expect(words[HEADER.freeBlockBytes] === freeBytes, "the free bytes are counted wrong");
    expect(!wasFree, "the arena ends with a free block");
  }

  private walkFreeLists(): void {
    const { words } = this.arena;
    for (let bin = 0; bin < BIN_COUNT; bin++) {
      let previous = 0;
      let block = words[HEADER.bins + bin]!;
      const bit = (words[HEADER.binMap + (bin >> 5)]! >>> (bin & 31)) & 1;
      expect(bit === (block === 0 ? 0 : 1), `the map of free lists is wrong about list ${bin}`);
      while (block !== 0) {
        const unit = block / BLOCK_UNIT_BYTES;
        const isFree = Number.isInteger(unit) && unit >= 0 && this.blocks[unit] === BLOCK.free;
        expect(isFree, `free list ${bin} leads to ${hex(block >>> 0)}`);
        const bytes = words[block >> 2]! & ~1;
        expect(binOf(bytes) === bin, `free list ${bin} has a block of ${bytes} bytes`);
        expect(words[(block >> 2) + 3] === previous, `free list ${bin} is not linked both ways`);
        this.blocks[unit] = BLOCK.claimed;
        previous = block;
        block = words[(block >> 2) + 2]!;
      }
    }
    expect(!this.blocks.includes(BLOCK.free), "a free block is in no list");
  }

  private walkRows(): void {
    const { words } = this.arena;
    const end = words[HEADER.endBytes]!;
    const blockOf = new Map<number, number>();
    for (let unit = HEADER_AREA_BYTES / BLOCK_UNIT_BYTES; unit < this.blocks.length; unit++) {
      if (unit % UNITS_PER_BREATH === 0) this.breathe();
      const block = unit * BLOCK_UNIT_BYTES;
      if (this.blocks[unit] !== BLOCK.used || words[(block >> 2) + 2] !== OWNER.rows) continue;
      blockOf.set(Math.ceil((block + BLOCK_HEAD_BYTES) / ROW_BYTES), block);
    }
    for (let head = words[HEADER.firstRows]!; head !== 0; head = words[head * ROW_WORDS + 1]!) {
      const block = blockOf.get(head);
      expect(block !== undefined, `the list of rows leads to row ${head}`);
      blockOf.delete(head);
      this.claimBlock(block, OWNER.rows, (ROWS_PER_BLOCK + 1) * ROW_BYTES, "the list of rows");
      const last = head + ROWS_PER_BLOCK;
      expect((last + 1) * ROW_BYTES <= end, `rows end behind the arena`);
      const isHead = words[head * ROW_WORDS] === KIND.rows;
      expect(isHead && words[head * ROW_WORDS + 2] === ROWS_PER_BLOCK, `row ${head} is no head`);
      this.places.fill(PLACE.row, head + 1, last + 1);
      this.rowCount += ROWS_PER_BLOCK;
    }
    expect(blockOf.size === 0, "a block of rows is not in the list");
  }

  private walkFreeRows(): void {
    const { words } = this.arena;
    let row = words[HEADER.freeRow]!;
    while (row !== 0) {
      this.claimRow(row, KIND.free, "the list of free rows");
      this.places[row] = PLACE.free;
      row = words[row * ROW_WORDS + ROW.nextFree]!;
    }
    const found = words[HEADER.usedRows]!;
    expect(found === this.rowCount, `${this.rowCount} rows are in use, ${found} are counted`);
  }
}
