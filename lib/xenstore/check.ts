// Verifies a whole arena: space, tree, clients, domains, indexes, counts, quotas, digest. It reads
// only, and stops at the first thing that is wrong, since what follows from it says nothing more.

import { checkClients } from "./check-clients.ts";
import { Damage, expect } from "./check-space.ts";
import { Tally } from "./tally.ts";
import { checkTree } from "./check-tree.ts";
import type { Core } from "./core.ts";
import { HEADER, OWNER } from "./layout.ts";

/** What is wrong, in words; an empty list when all is well. `breathe` is called now and then. */
export function checkStore(core: Core, breathe?: () => void): string[] {
  try {
    const { words } = core.arena;
    const tally = new Tally(core, breathe);
    claimLogs(core, tally);
    checkTree(core, tally);
    checkClients(core, tally);
    tally.nodes.expectNothingElse();
    tally.watches.expectNothingElse();
    tally.overlays.expectNothingElse();
    tally.space.expectAllClaimed();
    const isSame =
      words[HEADER.digest] === tally.first && words[HEADER.digest + 1] === tally.second;
    expect(isSame, "the digest does not fit what is there");
    return [];
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    return [error.message];
  }
}

/** The undo log, and one that was being replaced. */
function claimLogs(core: Core, tally: Tally): void {
  const { words } = core.arena;
  const log = words[HEADER.logBlock]!;
  tally.space.claimBlock(log, OWNER.log, 0, "the undo log");
  if (words[HEADER.logSwitch] !== 0) tally.space.claimStray(OWNER.log);
}
