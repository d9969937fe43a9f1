// Room in QEMU's table of descriptors, made before the overlays are opened.
//
// A process starts with a table of 64 and the kernel doubles it where a descriptor finds no place.
// For a process of several threads it waits for all processors to have seen the new table
// (synchronize_rcu in expand_fdtable, Linux fs/file.c): some 10 ms, in which the thread that opened
// a file stands still. QEMU opens overlays in the loop that serves its guest's disks, so a writer
// would wait twice as long as for the switch itself. A descriptor that comes over the monitor is
// put into the table by the monitor's own thread (monitor_init_qmp), and nobody waits.

import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { openNull } from "../sys/index.ts";
import { type Arguments, isRefused, type Monitor } from "./monitor.ts";

/** NR_OPEN_DEFAULT of 64-bit Linux. */
const TABLE_LEAST = 64;
/** What QEMU opens for itself meanwhile. */
const SPARE = 8;

const Added = v.looseObject({ "fdset-id": v.number(), fd: v.number() });
const Sets = v.array(
  v.looseObject({
    "fdset-id": v.number(),
    fds: v.array(v.looseObject({ opaque: v.optional(v.string()) })),
  }),
);

/**
 * Has QEMU's table grow if `count` more descriptors would do that. Whatever QEMU refuses is let be:
 * then opening them takes longer. Throws MonitorError if the monitor fails.
 */
export async function makeDescriptorRoom(monitor: Monitor, count: number): Promise<void> {
  const mark = `agent ${randomUUID()}`;
  const failures: unknown[] = [];
  for (const part of [() => fill(monitor, count, mark), () => empty(monitor, mark)]) {
    try {
      await part();
    } catch (error) {
      if (!isRefused(error)) failures.push(error);
    }
  }
  // What cannot be taken away is a consequence: the first is the reason.
  if (failures.length > 0) throw failures[0];
}

async function fill(monitor: Monitor, count: number, mark: string): Promise<void> {
  using nothing = openNull();
  const add = (given: Arguments) =>
    monitor.execute("add-fd", { ...given, opaque: mark }, { fd: nothing });
  const first = v.parse(Added, await add({}));
  const edge = edgeWithin(first.fd + count + SPARE);
  if (edge === undefined || edge <= first.fd) return;
  const given = { "fdset-id": first["fdset-id"] };
  // The last of them, at the latest, has the number that a table of `edge` has no place for.
  const more = Array.from({ length: edge - first.fd }, () => add(given));
  const failure = (await Promise.allSettled(more)).find(({ status }) => status === "rejected");
  if (failure?.status === "rejected") throw failure.reason;
}

/**
 * By the mark and not by the number: where the connection broke in between, the number was not
 * heard, or QEMU has taken the set away with the connection and another has the number. QEMU 9.1
 * keeps sets without a connection, an older one where it has another monitor.
 */
async function empty(monitor: Monitor, mark: string): Promise<void> {
  for (const set of v.parse(Sets, await monitor.execute("query-fdsets"))) {
    if (!set.fds.some(({ opaque }) => opaque === mark)) continue;
    await monitor.execute("remove-fd", { "fdset-id": set["fdset-id"] });
  }
}

/** The largest size of a table that ends at `reach` or before. */
function edgeWithin(reach: number): number | undefined {
  if (reach < TABLE_LEAST) return undefined;
  let edge = TABLE_LEAST;
  while (2 * edge <= reach) edge *= 2;
  return edge;
}
