// The talk of two xl processes around a migration, as the relay follows it.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Handshake } from "../../../lib/stream/relay/handshake.ts";
import {
  BANNER,
  GO_MESSAGE,
  RECEIVED_MESSAGE,
  RESULT_MESSAGE,
} from "../../../lib/stream/xl/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";

type Said = readonly ["receiver" | "sender", string];
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function after(said: readonly Said[], step: number): Handshake {
  const handshake = new Handshake();
  for (const [who, text] of said) {
    const bytes = ascii(text);
    for (let at = 0; at < bytes.byteLength; at += step) {
      const direction = who === "receiver" ? "to_sender" : "to_receiver";
      handshake.feed(direction, bytes.subarray(at, at + step));
    }
  }
  return handshake;
}

const WHOLE: readonly Said[] = [
  ["receiver", BANNER],
  ["receiver", RECEIVED_MESSAGE],
  ["sender", GO_MESSAGE],
  ["receiver", `${RESULT_MESSAGE}\0`],
];
const FAILED: readonly Said[] = [
  ...WHOLE.slice(0, 3),
  ["receiver", `${RESULT_MESSAGE}\x05`],
  ["receiver", GO_MESSAGE],
];

describe("the stages of the handshake", () => {
  test.each([
    ["nothing", [], "silent", undefined, false],
    ["half a banner", [["receiver", BANNER.slice(0, 20)]], "silent", undefined, false],
    ["the banner", WHOLE.slice(0, 1), "ready", undefined, false],
    ["received", WHOLE.slice(0, 2), "received", undefined, false],
    ["the go-ahead", WHOLE.slice(0, 3), "go", undefined, true],
    [
      "half a result",
      [...WHOLE.slice(0, 3), ["receiver", RESULT_MESSAGE]],
      "result",
      undefined,
      true,
    ],
    ["the end", WHOLE, "result", 0, false],
    ["a receiver that cannot run it", FAILED.slice(0, 4), "result", 5, false],
    ["and gives it back", FAILED, "given_back", 5, false],
    ["a shell's greeting", [["receiver", "Welcome to host\n"]], "foreign", undefined, false],
    [
      "a receiver that dies with words",
      [...WHOLE.slice(0, 1), ["receiver", "Error"]],
      "broken",
      undefined,
      false,
    ],
    [
      "a go-ahead that is another",
      [...WHOLE.slice(0, 2), ["sender", "go on"]],
      "broken",
      undefined,
      false,
    ],
    ["bytes behind a stream without xl", [["sender", "anything"]], "silent", undefined, false],
  ] as const)("%s", (_, said, stage, status, awaitsResult) => {
    for (const step of [1, 7, 1000]) {
      const handshake = after(said, step);
      expect(handshake.stage).toBe(stage);
      expect(handshake.receiverStatus).toBe(status);
      expect(handshake.awaitsResult).toBe(awaitsResult);
    }
  });

  const path = capturePath("pv32.migrate.from-receiver");
  test.skipIf(path === undefined)(captureTitle("what a real receiver said", path), () => {
    const bytes = readFileSync(path!);
    const handshake = new Handshake();
    const received = BANNER.length + RECEIVED_MESSAGE.length;
    handshake.feed("to_sender", bytes.subarray(0, received));
    handshake.feed("to_receiver", ascii(GO_MESSAGE));
    handshake.feed("to_sender", bytes.subarray(received));
    expect([handshake.stage, handshake.receiverStatus]).toEqual(["result", 0]);
  });
});
