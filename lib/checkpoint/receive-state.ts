// The state of a receiver as one program gives it to the next: what is not in the folder.

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";

export const RECEIVE_KIND = "checkpoint_receive";
export const RECEIVE_STATE_VERSION = 1;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const StateSchema = v.strictObject({
  /** PausedReceiver; null before the first commit, when nobody can go on. */
  paused: v.nullable(
    v.strictObject({
      stream: count,
      position: count,
      headers: v.pipe(v.string(), v.base64()),
      roundStartedMs: v.number(),
    }),
  ),
  /** The stream's name, for messages. */
  source: v.string(),
  commits: count,
  waited_ms: v.number(),
  companion: v.unknown(),
});
export type ReceiveState = v.InferOutput<typeof StateSchema>;

export const encodeState = (state: ReceiveState): Uint8Array => Buffer.from(JSON.stringify(state));

/** Throws RefusedError. */
export function decodeState(bytes: Uint8Array): ReceiveState {
  const text = Buffer.from(bytes).toString("utf8");
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), StateSchema), text);
  if (parsed.success) return parsed.output;
  throw new RefusedError(`Cannot go on with what is received: ${parsed.issues[0].message}`);
}
