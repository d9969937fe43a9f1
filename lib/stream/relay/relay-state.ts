// The state of a relay as one program gives it to the next: what has passed, what is on its way,
// and where the verification stands. Descriptors go beside it.

import * as v from "valibot";
import { RefusedError } from "../../base/index.ts";
import { FindingMarkSchema, VerifyMarkSchema } from "../verify/index.ts";
import { HANDSHAKE_STAGES } from "./report.ts";

export const RELAY_KIND = "relay";
export const RELAY_STATE_VERSION = 1;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const base64 = v.pipe(v.string(), v.base64());

const EndSchema = v.strictObject({
  name: v.string(),
  /** "inherited": its number stays taken when it is let go of. */
  how: v.picklist(["inherited", "owned"]),
  /** Of a standard descriptor, which every program keeps; null: it is among those handed over. */
  number: v.nullable(v.picklist([0, 1, 2])),
});
export type EndState = v.InferOutput<typeof EndSchema>;

const Lane = v.strictObject({ isOver: v.boolean(), held: base64 });

export const RelayStateSchema = v.strictObject({
  /** By role; one that was let go of is absent. */
  ends: v.record(v.string(), EndSchema),
  /** On the monotonic clock. */
  started_ms: v.number(),
  errors: count,
  warnings: count,
  first_error: v.nullable(FindingMarkSchema),
  channel: v.strictObject({
    takenBytes: count,
    deliveredBytes: count,
    sourceWaitMs: v.number(),
    targetWaitMs: v.number(),
    middleBytes: count,
    copiedBytes: count,
    canSpliceIn: v.boolean(),
    canSpliceOut: v.boolean(),
    canGoDirect: v.boolean(),
  }),
  /** Read and not passed on. */
  held: v.strictObject({ position: count, taken: count, bytes: base64 }),
  /** null: at the very start. */
  verify: v.nullable(VerifyMarkSchema),
  handshake: v.strictObject({
    stage: v.picklist(HANDSHAKE_STAGES),
    receiverStatus: v.nullable(count),
    matched: count,
    wantsStatus: v.boolean(),
  }),
  back: v.nullable(
    v.strictObject({
      passedBytes: count,
      isOver: v.boolean(),
      isLooking: v.boolean(),
      canSplice: v.boolean(),
      isToFull: v.boolean(),
      held: base64,
    }),
  ),
  gate: v.nullable(
    v.strictObject({ mark: count, awaitsReply: v.boolean(), messages: Lane, replies: Lane }),
  ),
  capture: v.nullable(
    v.strictObject({
      state: v.picklist(["writing", "whole", "broken"]),
      reason: v.nullable(v.string()),
      bytes: count,
    }),
  ),
});
export type RelayState = v.InferOutput<typeof RelayStateSchema>;

export const encodeRelayState = (state: RelayState): Uint8Array =>
  Buffer.from(JSON.stringify(state));

/** Throws RefusedError. */
export function decodeRelayState(bytes: Uint8Array): RelayState {
  const text = Buffer.from(bytes).toString("utf8");
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), RelayStateSchema), text);
  if (parsed.success) return parsed.output;
  const { message, path } = parsed.issues[0];
  const where = path?.map(({ key }) => String(key)).join(".") ?? "it";
  throw new RefusedError(`Cannot go on with what is relayed: ${where}: ${message}`);
}
