// What a relay says of itself, at its end and on request. RelayReportSchema is the documented
// schema of `agent relay --json` and of the control socket's answer: fields are only ever added.

import * as v from "valibot";
import { VerifyReportSchema } from "../verify/index.ts";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));

export const HANDSHAKE_STAGES = [
  "silent",
  "ready",
  "received",
  "go",
  "result",
  "given_back",
  "foreign",
  "broken",
] as const;

const HandshakeSchema = v.strictObject({
  stage: v.pipe(
    v.picklist(HANDSHAKE_STAGES),
    v.description("how far the talk of two xl processes went; foreign: it is not theirs"),
  ),
  receiver_status: v.nullable(count("what the receiver answered at the end: 0, its copy runs")),
});

const CaptureSchema = v.strictObject({
  path: text("where the whole capture stands"),
  state: v.pipe(
    v.picklist(["writing", "whole", "broken"]),
    v.description("broken: the file is not there, PATH.broken holds what came"),
  ),
  bytes: count("bytes captured"),
  reason: v.nullable(text("why it is broken")),
});

export const RelayReportSchema = v.strictObject({
  verdict: v.pipe(
    v.picklist(["good", "bad", "unknown"]),
    v.description("of the stream; unknown: it could not be relayed to its end, or still runs"),
  ),
  ended: v.pipe(
    v.picklist(["running", "end", "cut", "source_failed", "target_failed", "stopped", "bug"]),
    v.description("end: all of it is through; cut: not passed on because it was bad"),
  ),
  failure: v.nullable(text("what went wrong with one of the ends")),
  bytes: v.strictObject({
    taken: count("bytes read from the source"),
    delivered: count("bytes that the target has taken"),
    behind_the_end: count("of those, bytes that stand behind the stream"),
    back: count("bytes passed on in the other direction"),
  }),
  duration_ms: count("since the relay began"),
  waited_ms: v.strictObject({
    source: count("time in which the source had nothing"),
    target: count("time in which the target took nothing"),
  }),
  errors: count("errors found so far"),
  warnings: count("warnings so far"),
  handshake: v.nullable(HandshakeSchema),
  capture: v.nullable(CaptureSchema),
  verify: v.nullable(VerifyReportSchema),
});
export type RelayReport = v.InferOutput<typeof RelayReportSchema>;
