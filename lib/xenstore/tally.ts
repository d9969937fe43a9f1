// What a check has found so far: sums and charges, to be compared with what the arena says.

import { IndexCheck } from "./check-index.ts";
import { Space } from "./check-space.ts";
import type { Core } from "./core.ts";
import { HEADER, OWNER } from "./layout.ts";

/** Sums over what was found, to be compared with what the arena says. */
export class Tally {
  readonly space: Space;
  readonly nodes: IndexCheck;
  readonly watches: IndexCheck;
  readonly overlays: IndexCheck;
  first = 0;
  second = 0;
  /** Nodes and bytes by domid. */
  readonly nodesOf = new Map<number, number>();
  readonly bytesOf = new Map<number, number>();

  constructor(core: Core, breathe?: () => void) {
    const { arena } = core;
    this.space = new Space(arena, breathe);
    const at = (index: number, owner: number, name: string) => ({ index, owner, name });
    this.nodes = new IndexCheck(arena, this.space, at(HEADER.nodeIndex, OWNER.nodeIndex, "node"));
    this.watches = new IndexCheck(
      arena,
      this.space,
      at(HEADER.watchIndex, OWNER.watchIndex, "watch"),
    );
    this.overlays = new IndexCheck(
      arena,
      this.space,
      at(HEADER.overlayIndex, OWNER.overlayIndex, "overlay"),
    );
  }

  add(first: number, second: number): void {
    this.first = (this.first + first) | 0;
    this.second = (this.second + second) | 0;
  }

  charge(domid: number, nodes: number, bytes: number): void {
    this.nodesOf.set(domid, (this.nodesOf.get(domid) ?? 0) + nodes);
    this.bytesOf.set(domid, (this.bytesOf.get(domid) ?? 0) + bytes);
  }
}
