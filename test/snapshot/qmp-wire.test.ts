// QMP's bytes: pieces of any size, events between replies, garbage, long messages.

import { expect, test } from "bun:test";
import { parseMessage, qmpReader, requestLine } from "../../lib/snapshot/qmp-wire.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, ' +
  '"capabilities": ["oob"]}}\r\n';
const TALK =
  GREETING +
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n' +
  '{"return": {}, "id": "a-1"}\r\n' +
  '{"id": "a-2", "error": {"class": "GenericError", "desc": "nö"}}\r\n';
const MESSAGES = [
  { kind: "greeting", version: "7.2.22" },
  { kind: "event", name: "STOP", data: undefined },
  { kind: "return", id: "a-1", value: {} },
  { kind: "error", id: "a-2", class: "GenericError", desc: "nö" },
];

test("messages come out whole, cut at any byte", () => {
  const bytes = new TextEncoder().encode(TALK);
  for (let cut = 0; cut <= bytes.byteLength; cut++) {
    const read = qmpReader();
    const found = [...read(bytes.subarray(0, cut)), ...read(bytes.subarray(cut))];
    expect(found).toEqual(MESSAGES as typeof found);
  }
});

test("a reply of a megabyte", () => {
  const text = "x".repeat(2 ** 20);
  const bytes = new TextEncoder().encode(`{"return": "${text}", "id": "1"}\n`);
  const read = qmpReader();
  const found = [];
  for (let at = 0; at < bytes.byteLength; at += 1000) {
    found.push(...read(bytes.subarray(at, at + 1000)));
  }
  expect(found).toEqual([{ kind: "return", id: "1", value: text }]);
});

test.each([
  ["SSH-2.0-OpenSSH_9.2", 'expected a JSON object, found "SSH-2.0-OpenSSH_9.2"'],
  ["{}", 'expected a greeting, a reply or an event, found "{}"'],
  ["[1]", "expected a greeting, a reply or an event"],
  ["null", "expected a greeting, a reply or an event"],
  ['{"QMP": {}}', "expected a greeting, a reply or an event"],
  ['{"error": "no"}', "expected a greeting, a reply or an event"],
  ['{"event": 7}', "expected a greeting, a reply or an event"],
])("garbage: %s", (line, told) => {
  expect(() => parseMessage(line)).toThrow(told);
});

test("a message without an end is given up", () => {
  const read = qmpReader();
  const piece = new Uint8Array(2 ** 24).fill(0x20);
  expect(() => {
    for (let count = 0; count < 5; count++) read(piece);
  }).toThrow("a message of more than");
});

test("a request is one line", () => {
  const line = requestLine({ command: "stop", arguments: undefined, id: "x-1" });
  expect(line).toBe('{"execute":"stop","id":"x-1"}\n');
});
