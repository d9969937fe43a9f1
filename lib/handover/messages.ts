// The messages between the two sides of a handover: one JSON object each, one packet of a seqpacket
// socket, descriptors beside it. Fields that a side does not know are ignored; a message or a field
// that it needs and does not find ends the handover. A program that was executed in place finds in
// the channel what was sent to the one before it: what is for another attempt it drops.
//
//   message       with                                   descriptors
//   verified      sha256, what the binary answered       -              (from the launcher)
//   started       the heir's pid                         -              (from the launcher)
//   hello         protocol, version, pid, kinds          -
//   welcome       kind, state_version, settings ...      -
//   copy          digest                                 the copy
//   rehearsed     digest, duration                       -
//   descriptors   keys                                   one for each key
//   got           count, of no use any more: older       -
//                 programs of this protocol need it
//   stand_by      -                                      a final file, the shared page
//   standing      -                                      -
//   final         digest                                 the final file, an end of the probe
//   final_keep    digest                                 the final file, the shared page
//   kept          -                                      -
//   adopted       digest, attempt                        -
//   probe         attempt                                one end of a connection (in place)
//   commit        attempt                                -
//   serving       pause                                  -
//   stepped_back  reason                                 -
//   refused       reason                                 -
//   abort         reason                                 -

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";

/**
 * The versions of this protocol that we speak. 1 had a final file without a sum, in 2 nobody stood
 * by.
 */
export const PROTOCOL = { oldest: 3, newest: 3 } as const;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.string();

const message = <T extends string, E extends v.ObjectEntries>(type: T, entries: E) =>
  v.object({ type: v.literal(type), ...entries });

export const KindsSchema = v.record(v.string(), v.array(count));

const final = { digest: text } as const;

export const MessageSchema = v.variant("type", [
  message("verified", { sha256: text, version: text }),
  message("started", { pid: count }),
  message("hello", {
    protocol: v.tuple([count, count]),
    version: text,
    pid: count,
    kinds: KindsSchema,
  }),
  message("welcome", {
    protocol: count,
    kind: text,
    state_version: count,
    settings: text,
    process_name: text,
    pid: count,
    pause_ms: count,
  }),
  message("copy", { digest: text }),
  message("rehearsed", { digest: text, duration_ms: v.number() }),
  message("descriptors", { keys: v.array(text) }),
  message("got", { count }),
  message("stand_by", {}),
  message("standing", {}),
  message("final", final),
  message("final_keep", final),
  message("kept", {}),
  message("adopted", { digest: text, attempt: count }),
  message("probe", { attempt: count }),
  message("commit", { attempt: count }),
  message("serving", { pause_ms: v.number() }),
  message("stepped_back", { reason: text }),
  message("refused", { reason: text }),
  message("abort", { reason: text }),
]);
export type Message = v.InferOutput<typeof MessageSchema>;

export const encodeMessage = (given: Message): Uint8Array => Buffer.from(JSON.stringify(given));

/** Throws RefusedError. */
export function decodeMessage(bytes: Uint8Array): Message {
  const told = Buffer.from(bytes).toString("utf8");
  try {
    const result = v.safeParse(MessageSchema, JSON.parse(told));
    if (result.success) return result.output;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const shown = told.length > 80 ? `${told.slice(0, 80)}...` : told;
  throw new RefusedError(`Cannot understand the other side of the update: it said ${shown}`);
}

/** Why a new program that says so cannot go on for this one; undefined: it can. */
export function whyUnfit(
  { protocol: [oldest, newest], kinds }: Extract<Message, { type: "hello" }>,
  { kind, stateVersion }: { readonly kind: string; readonly stateVersion: number },
): string | undefined {
  if (oldest > PROTOCOL.newest || newest < PROTOCOL.oldest) {
    return `it speaks protocol ${oldest} to ${newest}, wanted ${PROTOCOL.newest}`;
  }
  const known = kinds[kind];
  if (known === undefined) return `it cannot continue a ${kind}`;
  if (known.includes(stateVersion)) return undefined;
  return `it reads ${kind} state ${known.join(" and ")}, found version ${stateVersion}`;
}
