// QMP's bytes to messages: one JSON object a line. Pure. (QEMU, docs/interop/qmp-spec)
//
// An object with "event" is never a reply. A reply carries the "id" of its request. What is no such
// object ends the connection: there is nothing to find the way back by.

import * as v from "valibot";
import { assert } from "../base/index.ts";

/** QEMU's longest replies are block node lists: some KiB a disk. */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

const Greeting = v.looseObject({
  QMP: v.looseObject({
    version: v.looseObject({
      qemu: v.looseObject({ major: v.number(), minor: v.number(), micro: v.number() }),
    }),
    capabilities: v.array(v.unknown()),
  }),
});
const QmpEvent = v.looseObject({ event: v.string(), data: v.optional(v.unknown()) });
const Failure = v.looseObject({
  error: v.looseObject({ class: v.string(), desc: v.string() }),
  id: v.optional(v.unknown()),
});
const Success = v.looseObject({ return: v.unknown(), id: v.optional(v.unknown()) });

export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string }
  | { readonly kind: "event"; readonly name: string; readonly data: unknown }
  | { readonly kind: "error"; readonly id: unknown; readonly class: string; readonly desc: string }
  | { readonly kind: "return"; readonly id: unknown; readonly value: unknown };

/** The other side does not speak QMP. */
export class QmpGarbage extends Error {
  override readonly name = "QmpGarbage"; // A literal: minifying renames the class itself.
}

/** Feeds bytes as they come, and returns the messages they complete. Throws QmpGarbage. */
export function qmpReader(): (bytes: Uint8Array) => QmpMessage[] {
  let pieces: Uint8Array[] = [];
  let pendingBytes = 0;
  return (bytes) => {
    const messages: QmpMessage[] = [];
    let from = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, from);
      const piece = bytes.slice(from, end === -1 ? undefined : end);
      pendingBytes += piece.byteLength;
      if (pendingBytes > MESSAGE_BYTES_MAX) {
        throw new QmpGarbage(`a message of more than ${MESSAGE_BYTES_MAX} bytes`);
      }
      pieces.push(piece);
      if (end === -1) return messages;
      const line = Buffer.concat(pieces).toString("utf8").trim();
      [pieces, pendingBytes, from] = [[], 0, end + 1];
      if (line !== "") messages.push(parseMessage(line));
    }
  };
}

/** One line. Throws QmpGarbage. */
export function parseMessage(line: string): QmpMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new QmpGarbage(`expected a JSON object, found ${excerpt(line)}`);
  }
  if (v.is(QmpEvent, value)) return { kind: "event", name: value.event, data: value.data };
  if (v.is(Failure, value)) {
    const { class: errorClass, desc } = value.error;
    return { kind: "error", id: value.id, class: errorClass, desc };
  }
  if (isRecord(value) && "return" in value && v.is(Success, value)) {
    return { kind: "return", id: value.id, value: value.return };
  }
  if (v.is(Greeting, value)) {
    const { major, minor, micro } = value.QMP.version.qemu;
    return { kind: "greeting", version: `${major}.${minor}.${micro}` };
  }
  throw new QmpGarbage(`expected a greeting, a reply or an event, found ${excerpt(line)}`);
}

/** One request as a line. */
export function requestLine(request: {
  readonly command: string;
  readonly arguments: Readonly<Record<string, unknown>> | undefined;
  readonly id: string | undefined;
}): string {
  assert(request.command !== "", "a request names its command");
  const { command: execute, arguments: given, id } = request;
  return `${JSON.stringify({ execute, arguments: given, id })}\n`;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

const excerpt = (line: string): string => JSON.stringify(line.slice(0, 60));
