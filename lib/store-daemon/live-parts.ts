// What a store daemon hands over besides its arena, as bytes: which connection has which socket,
// what of its requests came in part, what of its answers has not gone.
//
//   +0   u32 length of the head      the head, JSON      the clients' bytes, one behind the other

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";
import type { ClientParts, DaemonParts } from "./parts.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Who asked for the update, and gets its answer from the program that serves then. */
const AskerSchema = v.object({
  connection: count,
  request_id: count,
  transaction_id: count,
  /** The answer is our JSON report, not the stock "OK". */
  wants_report: v.boolean(),
});
export type Asker = v.InferOutput<typeof AskerSchema>;

const HeadSchema = v.object({
  listeners: v.array(v.string()),
  /** Key of the event channels' descriptor, and the port that tells of changed domains. */
  events: v.nullable(v.tuple([v.string(), count])),
  pid_file: v.nullable(v.string()),
  asker: v.nullable(AskerSchema),
  clients: v.array(
    v.object({
      connection: count,
      key: v.nullable(v.string()),
      domid: count,
      port: count,
      input_bytes: count,
      output_bytes: count,
      sent_bytes: count,
      is_ignored: v.boolean(),
    }),
  ),
});
export type LiveHead = v.InferOutput<typeof HeadSchema>;

const HEAD_AT = 4;

export interface LiveParts {
  readonly head: LiveHead;
  /** For each client of the head. */
  readonly bytes: readonly Pick<ClientParts, "input" | "output">[];
}

export function encodeLiveParts(
  parts: DaemonParts,
  keyOf: (connection: number) => string | null,
  rest: Pick<LiveHead, "listeners" | "events" | "pid_file" | "asker">,
): Uint8Array {
  const head: LiveHead = {
    ...rest,
    clients: parts.clients.map((client) => ({
      connection: client.connection,
      key: keyOf(client.connection),
      domid: client.domid,
      port: client.port,
      input_bytes: client.input.length,
      output_bytes: client.output.length,
      sent_bytes: client.sentBytes,
      is_ignored: client.isIgnored,
    })),
  };
  const headBytes = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(HEAD_AT);
  length.writeUInt32LE(headBytes.length);
  const bytes = parts.clients.flatMap(({ input, output }) => [input, output]);
  return Buffer.concat([length, headBytes, ...bytes]);
}

/** Throws RefusedError for what encodeLiveParts() does not make. */
export function decodeLiveParts(bytes: Uint8Array): LiveParts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headEnd = HEAD_AT + (bytes.length < HEAD_AT ? 0 : view.getUint32(0, true));
  if (bytes.length < Math.max(headEnd, HEAD_AT)) throw unfit("it is cut short");
  const parsed = v.safeParse(HeadSchema, parseOrNothing(bytes.subarray(HEAD_AT, headEnd)));
  if (!parsed.success) throw unfit(parsed.issues[0].message);
  const head = parsed.output;
  let at = headEnd;
  const take = (length: number): Uint8Array => bytes.subarray(at, (at += length));
  const clients = head.clients.map(({ input_bytes, output_bytes, sent_bytes }) => {
    if (sent_bytes > output_bytes) throw unfit("more was sent than there is");
    return { input: take(input_bytes), output: take(output_bytes) };
  });
  if (at !== bytes.length) throw unfit(`wanted ${at} bytes, found ${bytes.length}`);
  return { head, bytes: clients };
}

function parseOrNothing(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined; // The schema then says what was wanted.
  }
}

const unfit = (why: string): RefusedError =>
  new RefusedError(`Cannot use the clients that were handed over: ${why}`);
