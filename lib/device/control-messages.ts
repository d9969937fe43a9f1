// What is said over the proxy's control socket: one JSON document a packet (SOCK_SEQPACKET, so that
// it is no vhost-user socket for anybody, nor one of those for it), with a descriptor where a file
// is meant.

import * as v from "valibot";

const text = v.string();
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** A set of bits, in hex. */
const bits = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));

export const ControlRequest = v.variant("do", [
  v.strictObject({ do: v.literal("status") }),
  /** With a descriptor to write the state to. */
  v.strictObject({ do: v.literal("save"), loses_connections: v.boolean() }),
  /** With a descriptor to read so many bytes of state from. */
  v.strictObject({ do: v.literal("load"), bytes: count }),
  v.strictObject({ do: v.literal("check") }),
  /** With a descriptor to write the state to, where it is to be kept. */
  v.strictObject({
    do: v.literal("swap"),
    to: text,
    fallback: v.nullable(text),
    loses_connections: v.boolean(),
  }),
  v.strictObject({
    do: v.literal("update"),
    binary: text,
    way: v.picklist(["promote", "in_place"]),
    dry_run: v.boolean(),
  }),
]);
export type ControlRequest = v.InferOutput<typeof ControlRequest>;

export const ProxyStatus = v.strictObject({
  listen: text,
  backend: text,
  pid: v.nullable(count),
  attached: v.pipe(v.boolean(), v.description("a guest's front end is connected")),
  rings: v.pipe(count, v.description("that go")),
  messages: v.pipe(count, v.description("passed for this guest")),
  features: v.pipe(bits, v.description("of the back end, or those the guest uses")),
  masked: v.pipe(bits, v.description("features never offered to the guest")),
  unrepeatable: v.pipe(v.array(text), v.description("why no other back end can take its place")),
  tcp_connections: v.nullable(count),
});
export type ProxyStatus = v.InferOutput<typeof ProxyStatus>;

export const SwapReport = v.strictObject({
  result: v.picklist(["done", "refused", "undone", "stuck"]),
  problems: v.array(text),
  states: v.pipe(v.array(text), v.description("what became of each step")),
  from: text,
  to: v.pipe(text, v.description("the back end that the guest has now")),
  has_back_end: v.boolean(),
  state_bytes: count,
  flows: v.nullable(v.pipe(count, v.description("TCP connections in the state of passt"))),
  flows_after: v.nullable(v.pipe(count, v.description("of them in the process that has them now"))),
  paused_ms: v.pipe(v.number(), v.description("how long the guest's rings stood")),
});
export type SwapReport = v.InferOutput<typeof SwapReport>;

export const ControlAnswer = v.variant("answer", [
  v.strictObject({ answer: v.literal("status"), status: ProxyStatus }),
  v.strictObject({ answer: v.literal("saved"), bytes: count }),
  v.strictObject({ answer: v.literal("done") }),
  v.strictObject({ answer: v.literal("swapped"), report: SwapReport }),
  /** From whichever program serves by then. */
  v.strictObject({
    answer: v.literal("updated"),
    generation: count,
    pause_ms: v.nullable(v.number()),
  }),
  v.strictObject({ answer: v.literal("refused"), reason: text }),
]);
export type ControlAnswer = v.InferOutput<typeof ControlAnswer>;

/** A document from a packet; undefined when it is none that the schema knows. */
export function parsePacket<S extends v.GenericSchema>(
  schema: S,
  bytes: Uint8Array,
): v.InferOutput<S> | undefined {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  const result = v.safeParse(schema, document);
  return result.success ? result.output : undefined;
}

export const packetOf = (document: ControlRequest | ControlAnswer): Uint8Array =>
  Buffer.from(JSON.stringify(document));

export const hexBits = (value: bigint): string => `0x${value.toString(16)}`;
