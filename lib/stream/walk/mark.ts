// A place in a stream that another walk can go on from: between two records, and everything the
// walk knows there. As JSON it goes from one program to the next.

import * as v from "valibot";
import type { Cursor, Seam } from "./cursor.ts";
import type { Progress } from "./libxl.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const PROGRESS = {
  phase: v.picklist(["NORMAL", "BUFFERING", "UNBUFFERING"]),
  layer: v.picklist(["libxl", "libxc"]),
  checkpoints: count,
  lastCheckpointEnd: v.nullable(count),
  isCheckpointed: v.boolean(),
  isColo: v.boolean(),
} as const;

export const WalkMarkSchema = v.strictObject({
  format: v.picklist(["xl", "libxl", "libxc"]),
  recordNumber: count,
  ...PROGRESS,
  seam: v.strictObject({
    within: v.picklist(["libxl", "libxc", "tail", "states"]),
    count,
  }),
});
export type WalkMark = v.InferOutput<typeof WalkMarkSchema>;

export const markOf = (
  { recordNumber }: Cursor,
  { phase, layer, checkpoints, lastCheckpointEnd, isCheckpointed, isColo }: Progress,
  { format, seam }: { readonly format: WalkMark["format"]; readonly seam: Seam },
): WalkMark => ({
  format,
  recordNumber,
  phase,
  layer,
  checkpoints,
  lastCheckpointEnd: lastCheckpointEnd ?? null,
  isCheckpointed,
  isColo,
  seam,
});
