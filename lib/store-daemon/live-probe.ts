// What a store daemon asks its successor before it commits: a read, a watch, and a transaction that
// is given up again. Nothing of it stays. It is all about the root, which every store has and which
// domain 0 may read whatever it holds: an answer other than the wanted one is the program's fault.

import { RefusedError } from "../base/index.ts";
import type { ProbeTalk } from "../handover/index.ts";
import { HEADER_BYTES, OPERATION } from "../xenstore/index.ts";

const REQUEST_ID = 0x70726f62;
const TOKEN = "live-update-probe";
const WATCH = `/\0${TOKEN}\0`;
const OK = "OK\0";
/** Of a connection: its transactions are numbered from there. */
const FIRST_TRANSACTION = 1;

interface Question {
  readonly operation: keyof typeof OPERATION;
  readonly transaction: number;
  readonly payload: string;
  /** undefined: any that is no error. */
  readonly wanted: string | undefined;
}

const within = FIRST_TRANSACTION;
const QUESTIONS: readonly Question[] = [
  { operation: "READ", transaction: 0, payload: "/\0", wanted: undefined },
  { operation: "WATCH", transaction: 0, payload: WATCH, wanted: OK },
  { operation: "UNWATCH", transaction: 0, payload: WATCH, wanted: OK },
  { operation: "TRANSACTION_START", transaction: 0, payload: "\0", wanted: `${within}\0` },
  { operation: "MKDIR", transaction: within, payload: `/${TOKEN}\0`, wanted: OK },
  { operation: "TRANSACTION_END", transaction: within, payload: "F\0", wanted: OK },
];

interface Answer {
  readonly type: number;
  readonly text: string;
}

/** u32 type, request, transaction, length; then the payload. */
function request({ operation, transaction, payload }: Question): Uint8Array {
  const body = Buffer.from(payload, "latin1");
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  [OPERATION[operation], REQUEST_ID, transaction, body.length].forEach((word, index) =>
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

const isEvent = ({ type }: Answer): boolean => type === OPERATION.WATCH_EVENT;

const describe = ({ type, text }: Answer): string => {
  const [name = `type ${type}`] =
    Object.entries(OPERATION).find(([, number]) => number === type) ?? [];
  return `${name} ${JSON.stringify(text)}`;
};

/** Replies have the order of the questions, the watch's event among them. Throws RefusedError. */
function judge(replies: readonly Answer[], events: readonly Answer[]): void {
  for (const [index, { operation, payload, wanted }] of QUESTIONS.entries()) {
    const reply = replies[index]!; // As many as questions.
    const isRight = reply.type === OPERATION[operation];
    if (isRight && (wanted === undefined || reply.text === wanted)) continue;
    refuse(
      `${operation} ${JSON.stringify(payload)}`,
      wanted === undefined ? "a value" : JSON.stringify(wanted),
      [reply],
    );
  }
  if (events.length === 1 && events[0]!.text === WATCH) return;
  refuse("the watch of the root", `one event ${JSON.stringify(WATCH)}`, events);
}

function refuse(asked: string, wanted: string, answers: readonly Answer[]): never {
  const found = answers.length === 0 ? "none" : answers.map(describe).join(", ");
  throw new RefusedError(`the probe of the store: ${asked}: wanted ${wanted}, found ${found}`);
}

/** Everything at once: everybody waits meanwhile, and on a busy machine for each turn anew. */
export function storeProbe(): ProbeTalk {
  return {
    opening: Buffer.concat(QUESTIONS.map(request)),
    next(bytes) {
      const answers = answersIn(bytes);
      if (answers === undefined) return { kind: "more" };
      const replies = answers.filter((answer) => !isEvent(answer));
      if (replies.length < QUESTIONS.length) return { kind: "more" };
      if (replies.length > QUESTIONS.length) refuse("all", "one answer each", replies);
      judge(replies, answers.filter(isEvent));
      return { kind: "right" };
    },
  };
}
