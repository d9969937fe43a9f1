// The order of `agent live-update` as it comes to a program that can be replaced: JSON, the same
// entries for each. A program adds those that it alone knows.

import * as v from "valibot";
import type { UpdateOrder } from "./update.ts";

export const ORDER_ENTRIES = {
  binary: v.string(),
  way: v.picklist(["auto", "promote", "in-place"]),
  dry_run: v.boolean(),
  /** Refuse where the pause is predicted to be longer. */
  max_pause_ms: v.nullable(v.number()),
  /** Lower-case hex; any other binary is refused. */
  sha256: v.nullable(v.string()),
  /** For everything before the pause. */
  prepare_ms: v.number(),
} as const;

const EntriesSchema = v.object(ORDER_ENTRIES);

/** What the order says to the updater; the rest is the program's own. */
export const orderedBy = (
  order: v.InferOutput<typeof EntriesSchema>,
): Pick<UpdateOrder, "binary" | "isDryRun" | "sha256" | "pauseMsMax" | "prepareMs"> => ({
  binary: order.binary,
  isDryRun: order.dry_run,
  sha256: order.sha256 ?? undefined,
  pauseMsMax: order.max_pause_ms ?? undefined,
  prepareMs: order.prepare_ms,
});
