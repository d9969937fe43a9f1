// The final file and the shared page of a handover, damaged: every bit of them, every length.

import { expect, test } from "bun:test";
import { ftruncateSync, readSync, writeSync } from "node:fs";
import { claim } from "../../lib/handover/carried.ts";
import { type FinalHead, readFinal, writeFinal } from "../../lib/handover/final-file.ts";
import { SharedPage } from "../../lib/handover/shared-page.ts";
import { createMemfd, duplicate, type Fd, fileIdentityOf, statOf } from "../../lib/sys/index.ts";

const HEAD: FinalHead = {
  descriptors: [
    ["arena", "1:77", 5],
    ["client 1 1", "9:78", 6],
  ],
  gone: ["client 2 3", "client 4 4"],
  marks: 4000,
  kind: "store",
  settings: "",
  process_name: "xenstored",
  digest: "0123456789abcdef",
  paused_at_ms: 1234.5,
  pause_limit_ms: 5000,
  report: {
    way: "promote",
    generation: 3,
    binary: "/opt/agent",
    sha256: null,
    version: "agent 0.1.0",
    counts: { nodes: 12 },
    phases_ms: { start: 1.5 },
    pause_ms: { predicted: 2.5, measured: null },
  },
};
const DIFFERENCE = Uint8Array.from({ length: 100 }, (_, index) => index);
const REFUSED = /^Cannot use the state that was handed over: /;

function bytesOf(file: Fd): Uint8Array {
  const bytes = new Uint8Array(statOf(file.number).size);
  readSync(file.number, bytes, 0, bytes.length, 0);
  return bytes;
}

function fileOf(bytes: Uint8Array): Fd {
  const file = createMemfd("final");
  if (bytes.length > 0) writeSync(file.number, bytes, 0, bytes.length, 0);
  return file;
}

const WHOLE = (() => {
  using file = writeFinal({ head: HEAD, difference: DIFFERENCE });
  return bytesOf(file);
})();

test("what was written is read", () => {
  using file = fileOf(WHOLE);
  expect(readFinal(file)).toEqual({ head: HEAD, difference: DIFFERENCE });
});

test("any bit flipped is refused", () => {
  for (let at = 0; at < WHOLE.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = WHOLE.slice();
      bytes[at]! ^= 1 << bit;
      using file = fileOf(bytes);
      expect(() => readFinal(file)).toThrow(REFUSED);
    }
  }
});

test("any other length is refused, and one that is too long is not read", () => {
  for (let length = 0; length < WHOLE.length; length++) {
    using file = fileOf(WHOLE.subarray(0, length));
    expect(() => readFinal(file)).toThrow(REFUSED);
  }
  using longer = fileOf(Buffer.concat([WHOLE, new Uint8Array(1)]));
  expect(() => readFinal(longer)).toThrow(/wanted \d+ bytes, found \d+$/);
  using huge = fileOf(WHOLE);
  ftruncateSync(huge.number, 2 ** 40);
  expect(() => readFinal(huge)).toThrow(`found ${2 ** 40} bytes`);
});

test("a list with another descriptor, or one that did not come, is refused", () => {
  using file = createMemfd("one");
  const identity = fileIdentityOf(file.number);
  const come = () => {
    const fd = duplicate(file.number, "arena");
    return { fd, received: new Map([["arena", { fd, identity }]]) };
  };
  const claimed = (key: string, wanted: string) => {
    const { fd, received } = come();
    using _ = fd;
    return claim(received, { descriptors: [[key, wanted, 5]] });
  };
  expect([...claimed("arena", identity).keys()]).toEqual(["arena"]);
  expect(() => claimed("arenb", identity)).toThrow('"arenb" did not come');
  expect(() => claimed("arena", `${identity}1`)).toThrow('"arena" is another descriptor: wanted');
});

test("a shared page is of its size, kind and number of marks, or refused", () => {
  using page = SharedPage.create(3);
  const whole = bytesOf(page.file);
  for (let at = 0; at < 16; at++) {
    const isWord = at >= 8 && at < 12; // Who may serve: any value but two is nobody's.
    for (let bit = 0; bit < 8; bit++) {
      const bytes = whole.slice();
      bytes[at]! ^= 1 << bit;
      const open = (): SharedPage => SharedPage.open(fileOf(bytes), 3);
      if (!isWord) {
        expect(open).toThrow(/^Cannot use the shared page: /);
        continue;
      }
      using damaged = open();
      expect(damaged.takeOver()).toBe(false);
      // The new program does not serve: but for the word that says that it does, the old one may.
      expect(damaged.takeBack()).toBe(!(at === 8 && bit === 0));
    }
  }
  for (const length of [0, 1, 64, 4095, 4097]) {
    const cut = fileOf(whole.subarray(0, Math.min(length, whole.length)));
    ftruncateSync(cut.number, length);
    expect(() => SharedPage.open(cut, 3)).toThrow(/^Cannot use the shared page: /);
  }
});
