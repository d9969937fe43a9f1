// What a store daemon hands over besides its arena, as bytes: which connection has which socket,
// what of its requests came in part, what of its answers has not gone.
//
//   +0   u32 length of the head      the head, JSON      for each client ten words (ROW)
//        then the clients' bytes, one behind the other
//
// Clients are many, and everybody waits while they are read: so they are no JSON.

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";
import { HEADER_BYTES } from "../xenstore/index.ts";
import type { ClientParts, DaemonParts } from "./parts.ts";
import type { RingPlace } from "./ring-place.ts";
import { RING_BYTES } from "./ring.ts";

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
  /** Of the clients, in their order, a line each: empty for a ring. */
  keys: v.string(),
});
type Head = v.InferOutput<typeof HeadSchema>;

export interface LiveClient {
  readonly connection: number;
  readonly key: string | null;
  readonly domid: number;
  readonly port: number;
  /** null for a socket, and where there is no ring. */
  readonly ring: RingPlace | null;
  readonly input_bytes: number;
  readonly output_bytes: number;
  readonly sent_bytes: number;
  readonly is_ignored: boolean;
}
export type LiveHead = Omit<Head, "keys"> & { readonly clients: readonly LiveClient[] };

/** Words of a client's row, unsigned. */
const ROW = {
  connection: 0,
  domid: 1,
  port: 2,
  inputBytes: 3,
  outputBytes: 4,
  sentBytes: 5,
  flags: 6,
  /** Of its ring. */
  consumed: 7,
  answersProduced: 8,
  taken: 9,
} as const;
const FLAG = { isIgnored: 1, hasRing: 2 } as const;
const ROW_BYTES = 4 * Object.keys(ROW).length;

const HEAD_AT = 4;
/** Of the payload's length in a message. */
const LENGTH_AT = 12;

export interface LiveParts {
  readonly head: LiveHead;
  /** For each client of the head. */
  readonly bytes: readonly Pick<ClientParts, "input" | "output">[];
}

export function encodeLiveParts(
  parts: Pick<DaemonParts, "clients">,
  keyOf: (connection: number) => string | null,
  rest: Pick<LiveHead, "listeners" | "events" | "pid_file" | "asker">,
): Uint8Array {
  const { clients } = parts;
  const keys = clients.map(({ connection }) => `${keyOf(connection) ?? ""}\n`).join("");
  const head: Head = { ...rest, keys };
  const headBytes = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(HEAD_AT);
  length.writeUInt32LE(headBytes.length);
  const rows = Buffer.alloc(clients.length * ROW_BYTES);
  clients.forEach((client, index) => {
    const put = (word: number, value: number): void =>
      void rows.writeUInt32LE(value, index * ROW_BYTES + 4 * word);
    put(ROW.connection, client.connection);
    put(ROW.domid, client.domid);
    put(ROW.port, client.port);
    put(ROW.inputBytes, client.input.length);
    put(ROW.outputBytes, client.output.length);
    put(ROW.sentBytes, client.sentBytes);
    const { ring } = client;
    put(ROW.flags, (client.isIgnored ? FLAG.isIgnored : 0) | (ring ? FLAG.hasRing : 0));
    if (ring === undefined) return;
    put(ROW.consumed, ring.consumed);
    put(ROW.answersProduced, ring.answersProduced);
    put(ROW.taken, ring.taken);
  });
  const bytes = clients
    .flatMap(({ input, output }) => [input, output])
    .filter((part) => part.length > 0);
  return Buffer.concat([length, headBytes, rows, ...bytes]);
}

/** Throws RefusedError for what encodeLiveParts() does not make. */
export function decodeLiveParts(bytes: Uint8Array): LiveParts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headEnd = HEAD_AT + (bytes.length < HEAD_AT ? 0 : view.getUint32(0, true));
  if (bytes.length < Math.max(headEnd, HEAD_AT)) throw unfit("it is cut short");
  const parsed = v.safeParse(HeadSchema, parseOrNothing(bytes.subarray(HEAD_AT, headEnd)));
  if (!parsed.success) throw unfit(parsed.issues[0].message);
  const { keys: lines, ...rest } = parsed.output;
  const keys = lines.split("\n");
  if (keys.pop() !== "") throw unfit("the keys of its clients are cut short");
  const rowsEnd = headEnd + keys.length * ROW_BYTES;
  if (bytes.length < rowsEnd) throw unfit("its clients are cut short");
  const clients = keys.map((key, index) =>
    clientAt(view, headEnd + index * ROW_BYTES, key === "" ? null : key),
  );
  let at = rowsEnd;
  const take = (length: number): Uint8Array => bytes.subarray(at, (at += length));
  const parts = clients.map((client) => {
    const part = { input: take(client.input_bytes), output: take(client.output_bytes) };
    if (at > bytes.length) throw unfit("its clients' bytes are cut short");
    refuseBrokenOutput(client, part.output);
    return part;
  });
  if (at !== bytes.length) throw unfit(`wanted ${at} bytes, found ${bytes.length}`);
  refuseTwins(
    "connection",
    clients.map(({ connection }) => connection),
  );
  refuseTwins(
    "key",
    keys.filter((key) => key !== ""),
  );
  return { head: { ...rest, clients }, bytes: parts };
}

/** What is to be sent is whole messages, of which the first alone may have gone in part. */
function refuseBrokenOutput({ connection, sent_bytes }: LiveClient, output: Uint8Array): void {
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  let firstBytes = 0;
  for (let at = 0; at < output.length;) {
    const isHead = at + HEADER_BYTES <= output.length;
    const length = isHead ? HEADER_BYTES + view.getUint32(at + LENGTH_AT, true) : Infinity;
    if (at + length > output.length) throw unfit(`connection ${connection}: a message in part`);
    if (at === 0) firstBytes = length;
    at += length;
  }
  if (sent_bytes === 0 || sent_bytes < firstBytes) return;
  throw unfit(`connection ${connection}: ${sent_bytes} bytes of a message of ${firstBytes} went`);
}

function refuseTwins(what: string, all: readonly (number | string)[]): void {
  if (new Set(all).size !== all.length) throw unfit(`a ${what} comes twice`);
}

function clientAt(view: DataView, at: number, key: string | null): LiveClient {
  const word = (index: number): number => view.getUint32(at + 4 * index, true);
  const flags = word(ROW.flags);
  const isRing = key === null;
  if (flags > (isRing ? FLAG.isIgnored | FLAG.hasRing : 0)) {
    throw unfit(`a ${isRing ? "ring" : "socket"} with flags ${flags}`);
  }
  return {
    connection: word(ROW.connection),
    key,
    domid: word(ROW.domid),
    port: word(ROW.port),
    ring: (flags & FLAG.hasRing) === 0 ? null : ringAt(word),
    input_bytes: word(ROW.inputBytes),
    output_bytes: word(ROW.outputBytes),
    sent_bytes: word(ROW.sentBytes),
    is_ignored: (flags & FLAG.isIgnored) !== 0,
  };
}

function ringAt(word: (index: number) => number): RingPlace {
  const taken = word(ROW.taken);
  if (taken > RING_BYTES) throw unfit(`${taken} bytes of a ring are taken`);
  return { consumed: word(ROW.consumed), answersProduced: word(ROW.answersProduced), taken };
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
