// What a store daemon asks its successor before it commits: a read, a watch, and a transaction that
// is given up again. Nothing of it stays.

import { RefusedError } from "../base/index.ts";
import type { ProbeTalk } from "../handover/index.ts";
import { HEADER_BYTES, OPERATION } from "../xenstore/index.ts";

const REQUEST_ID = 0x70726f62;
const PATH = "/tool";
const TOKEN = "live-update-probe";

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

/**
 * Each step: what is asked, how many messages answer it, and whether they are right. Two steps, not
 * one for each question: everybody waits meanwhile, and on a busy machine for each turn anew.
 */
export function storeProbe(): ProbeTalk {
  let transaction = 0;
  const isOk = (type: number, answer: Answer | undefined): boolean =>
    answer?.type === type && answer.text === "OK\0";
  const steps = [
    {
      ask: () =>
        Buffer.concat([
          request(OPERATION.DIRECTORY, 0, `${PATH}\0`),
          request(OPERATION.WATCH, 0, `${PATH}\0${TOKEN}\0`),
          request(OPERATION.UNWATCH, 0, `${PATH}\0${TOKEN}\0`),
          request(OPERATION.TRANSACTION_START, 0, "\0"),
        ]),
      count: 5,
      isRight([listed, ...answers]: readonly Answer[]) {
        const started = answers.at(-1);
        transaction = Number.parseInt(started?.text ?? "", 10);
        return (
          listed?.type === OPERATION.DIRECTORY &&
          answers.some((answer) => isOk(OPERATION.WATCH, answer)) &&
          answers.some(({ type, text }) => {
            return type === OPERATION.WATCH_EVENT && text === `${PATH}\0${TOKEN}\0`;
          }) &&
          answers.some((answer) => isOk(OPERATION.UNWATCH, answer)) &&
          started?.type === OPERATION.TRANSACTION_START &&
          transaction > 0
        );
      },
    },
    {
      ask: () =>
        Buffer.concat([
          request(OPERATION.MKDIR, transaction, `${PATH}/${TOKEN}\0`),
          request(OPERATION.TRANSACTION_END, transaction, "F\0"),
        ]),
      count: 2,
      isRight: ([made, ended]: readonly Answer[]) =>
        isOk(OPERATION.MKDIR, made) && isOk(OPERATION.TRANSACTION_END, ended),
    },
  ];
  let at = 0;
  return {
    opening: steps[0]!.ask(), // There are steps.
    next(bytes) {
      const step = steps[at]!; // Below the length: the last one ends the talk.
      const answers = answersIn(bytes);
      if (answers === undefined || answers.length < step.count) return { kind: "more" };
      if (!step.isRight(answers)) {
        const found = answers.map(({ type, text }) => `${type} ${JSON.stringify(text)}`).join(", ");
        throw new RefusedError(`step ${at + 1} of ${steps.length}: found ${found}`);
      }
      const next = steps[++at];
      return next === undefined ? { kind: "right" } : { kind: "send", bytes: next.ask() };
    },
  };
}
