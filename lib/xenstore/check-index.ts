// Verifies an index: its table, and that it holds what it should and nothing else.

import type { Arena } from "./arena.ts";
import { expect, type Space } from "./check-space.ts";
import { tableOf } from "./index-table.ts";
import { INDEX } from "./layout.ts";

export class IndexCheck {
  private readonly arena: Arena;
  private readonly index: number;
  private readonly name: string;
  private readonly table: number;
  private readonly mask: number;
  private found = 0;

  constructor(arena: Arena, space: Space, at: { index: number; owner: number; name: string }) {
    const { words } = arena;
    this.arena = arena;
    this.index = at.index;
    this.name = at.name;
    this.mask = words[at.index + INDEX.mask]!;
    const slots = this.mask + 1;
    const isPower = slots >= 64 && slots <= 2 ** 27 && (slots & this.mask) === 0;
    expect(isPower, `the ${at.name} index has ${slots} slots`);
    expect(words[at.index + INDEX.owner] === at.owner, `the ${at.name} index has another owner`);
    space.claimBlock(words[at.index + INDEX.table]!, at.owner, slots * 8, `the ${at.name} index`);
    this.table = tableOf(arena, at.index);
    let used = 0;
    for (let slot = 0; slot < slots; slot++) {
      if (words[this.table + slot * 2 + 1] !== 0) used++;
    }
    const counted = words[at.index + INDEX.count]!;
    expect(used === counted, `the ${at.name} index has ${used} entries, ${counted} are counted`);
    expect(used < slots, `the ${at.name} index is full`);
  }

  /** The row is found by this hash. */
  expectRow(hash: number, row: number): void {
    const { words } = this.arena;
    let slot = hash & this.mask;
    for (;;) {
      const at = this.table + slot * 2;
      expect(words[at + 1] !== 0, `the ${this.name} index does not lead to row ${row}`);
      if (words[at + 1] === row) {
        expect(words[at] === hash, `the ${this.name} index has another hash for row ${row}`);
        break;
      }
      slot = (slot + 1) & this.mask;
    }
    this.found++;
  }

  /** There is nothing in it but what was asked for. */
  expectNothingElse(): void {
    const count = this.arena.words[this.index + INDEX.count]!;
    const extra = count - this.found;
    expect(extra === 0, `the ${this.name} index has ${extra} entries more than there are rows`);
  }
}
