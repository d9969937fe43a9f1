// Room in QEMU's table of descriptors, made before the overlays are opened.
//
// A process starts with a table of 64 and the kernel doubles it where a descriptor finds no place.
// For a process of several threads it waits for all processors to have seen the new table
// (synchronize_rcu in expand_fdtable, Linux fs/file.c): some 10 ms, in which the thread that opened
// a file stands still. QEMU opens overlays in the loop that serves its guest's disks, so a writer
// would wait twice as long as for the switch itself. A descriptor that comes over the monitor is
// put into the table by the monitor's own thread (monitor_init_qmp), and nobody waits.

import * as v from "valibot";
import { openNull } from "../sys/index.ts";
import { isRefused, type Monitor } from "./monitor.ts";

/** NR_OPEN_DEFAULT of 64-bit Linux. */
const TABLE_LEAST = 64;
/** What QEMU opens for itself meanwhile. */
const SPARE = 8;

const Added = v.looseObject({ "fdset-id": v.number(), fd: v.number() });

/**
 * Has QEMU's table grow if `count` more descriptors would do that. Whatever QEMU refuses is let be:
 * then opening them takes longer. Throws MonitorError if the monitor fails.
 */
export async function makeDescriptorRoom(monitor: Monitor, count: number): Promise<void> {
  using nothing = openNull();
  let set: number | undefined;
  try {
    const first = v.parse(Added, await monitor.execute("add-fd", undefined, { fd: nothing }));
    set = first["fdset-id"];
    const edge = edgeWithin(first.fd + count + SPARE);
    if (edge === undefined || edge <= first.fd) return;
    const given = { "fdset-id": set };
    // The last of them, at the latest, has the number that a table of `edge` has no place for.
    const more = Array.from({ length: edge - first.fd }, () =>
      monitor.execute("add-fd", given, { fd: nothing }),
    );
    const failure = (await Promise.allSettled(more)).find(({ status }) => status === "rejected");
    if (failure?.status === "rejected") throw failure.reason;
  } catch (error) {
    if (!isRefused(error)) throw error;
  } finally {
    // QEMU does it by itself should we end before.
    if (set !== undefined) await monitor.execute("remove-fd", { "fdset-id": set });
  }
}

/** The largest size of a table that ends at `reach` or before. */
function edgeWithin(reach: number): number | undefined {
  if (reach < TABLE_LEAST) return undefined;
  let edge = TABLE_LEAST;
  while (2 * edge <= reach) edge *= 2;
  return edge;
}
