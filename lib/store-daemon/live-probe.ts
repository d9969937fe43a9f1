// What a store daemon asks its successor before it commits: a read, a watch, and a transaction that
// is given up again. Nothing of it stays.

import { RefusedError } from "../base/index.ts";
import type { ProbeTalk } from "../handover/index.ts";
import { HEADER_BYTES, OPERATION } from "../xenstore/index.ts";

const REQUEST_ID = 0x70726f62;
const PATH = "/tool";
const TOKEN = "live-update-probe";
const OK = "OK\0";
/** Of a connection: its transactions are numbered from there. */
const FIRST_TRANSACTION = 1;

interface Answer {
  readonly type: number;
  readonly text: string;
}

/** u32 type, request, transaction, length; then the payload. */
function request(type: number, transaction: number, payload: string): Uint8Array {
  const body = Buffer.from(payload, "latin1");
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  [type, REQUEST_ID, transaction, body.length].forEach((word, index) =>
    bytes.writeUInt32LE(word, index * 4),
  );
  body.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** The whole messages in these bytes; undefined while the last of them is not whole. */
function answersIn(bytes: Uint8Array): Answer[] | undefined {
  const buffer = Buffer.from(bytes);
  const answers: Answer[] = [];
  for (let at = 0; at < buffer.length;) {
    if (buffer.length < at + HEADER_BYTES) return undefined;
    const end = at + HEADER_BYTES + buffer.readUInt32LE(at + 12);
    if (buffer.length < end) return undefined;
    const text = buffer.toString("latin1", at + HEADER_BYTES, end);
    answers.push({ type: buffer.readUInt32LE(at), text });
    at = end;
  }
  return answers;
}

/** What answers the requests. */
const WANTED: readonly ((answer: Answer) => boolean)[] = [
  ({ type }) => type === OPERATION.DIRECTORY,
  ({ type, text }) => type === OPERATION.WATCH && text === OK,
  ({ type, text }) => type === OPERATION.WATCH_EVENT && text === `${PATH}\0${TOKEN}\0`,
  ({ type, text }) => type === OPERATION.UNWATCH && text === OK,
  ({ type, text }) => type === OPERATION.TRANSACTION_START && text === `${FIRST_TRANSACTION}\0`,
  ({ type, text }) => type === OPERATION.MKDIR && text === OK,
  ({ type, text }) => type === OPERATION.TRANSACTION_END && text === OK,
];

/** Everything at once: everybody waits meanwhile, and on a busy machine for each turn anew. */
export function storeProbe(): ProbeTalk {
  return {
    opening: Buffer.concat([
      request(OPERATION.DIRECTORY, 0, `${PATH}\0`),
      request(OPERATION.WATCH, 0, `${PATH}\0${TOKEN}\0`),
      request(OPERATION.UNWATCH, 0, `${PATH}\0${TOKEN}\0`),
      request(OPERATION.TRANSACTION_START, 0, "\0"),
      request(OPERATION.MKDIR, FIRST_TRANSACTION, `${PATH}/${TOKEN}\0`),
      request(OPERATION.TRANSACTION_END, FIRST_TRANSACTION, "F\0"),
    ]),
    next(bytes) {
      const answers = answersIn(bytes);
      if (answers === undefined || answers.length < WANTED.length) return { kind: "more" };
      const isRight = WANTED.every((isFit) => answers.some(isFit));
      if (isRight && answers.length === WANTED.length) return { kind: "right" };
      const found = answers.map(({ type, text }) => `${type} ${JSON.stringify(text)}`).join(", ");
      throw new RefusedError(`found ${found}`);
    },
  };
}
