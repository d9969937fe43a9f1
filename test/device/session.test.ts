// The proxy's session: messages with their descriptors go through as they are, in both directions;
// bits are masked; a full socket holds one message and no more; another back end is put in at a
// safe point.

import { describe, expect, test } from "bun:test";
import { messageBytes } from "../../lib/device/front-end.ts";
import { FLAGS, REQUEST } from "../../lib/device/messages.ts";
import { Session } from "../../lib/device/session.ts";
import {
  fileIdentityOf,
  makeNonBlocking,
  makePipe,
  makeSocketPair,
  receiveDescriptors,
  sendDescriptors,
} from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { SteppedLoop } from "../helpers/stepped-loop.ts";

const REPLY = FLAGS.version | FLAGS.reply;
const u64 = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
};

class Rig implements Disposable {
  readonly loop = new SteppedLoop();
  readonly ends: string[] = [];
  readonly session: Session;
  private readonly pairs = [makeSocketPair("stream"), makeSocketPair("stream")] as const;
  readonly qemu = this.pairs[0][0];
  readonly passt = this.pairs[1][0];
  constructor() {
    const [[, front], [, back]] = this.pairs;
    for (const fd of this.pairs.flat()) makeNonBlocking(fd);
    const masks = { features: 0x2n, protocolFeatures: 0x4n };
    const onEnd = (reason: string): void => void this.ends.push(reason);
    this.session = new Session({ loop: this.loop, front, back, masks, onEnd, restored: undefined });
  }
  settle(): void {
    for (let step = 0; this.loop.step() && step < 1000; step++);
  }
  [Symbol.dispose](): void {
    this.session[Symbol.dispose]();
    this.qemu[Symbol.dispose]();
    this.passt[Symbol.dispose]();
    this.loop[Symbol.dispose]();
  }
}

describe("a session", () => {
  test.each(Object.entries(REQUEST))(
    "passes %s on with its descriptors, and the answer",
    (_, { id }) => {
      const before = openDescriptors();
      {
        using rig = new Rig();
        const pipe = makePipe();
        using readEnd = pipe.readEnd;
        using writeEnd = pipe.writeEnd;
        const request = messageBytes(id, FLAGS.version, new Uint8Array(40).fill(1));
        sendDescriptors(rig.qemu, request, [readEnd.number, writeEnd.number]);
        rig.settle();
        using got = receiveDescriptors(rig.passt, 4096);
        expect(got?.bytes).toEqual(request);
        const kept = got?.descriptors.map(({ number }) => fileIdentityOf(number));
        expect(kept).toEqual([readEnd, writeEnd].map(({ number }) => fileIdentityOf(number)));
        const answer = messageBytes(id, REPLY, new Uint8Array(24).fill(2));
        sendDescriptors(rig.passt, answer, [readEnd.number]);
        rig.settle();
        using back = receiveDescriptors(rig.qemu, 4096);
        expect(back?.bytes).toEqual(answer);
        expect(back?.descriptors).toHaveLength(1);
        expect(rig.ends).toEqual([]);
      }
      expect(openedSince(before)).toEqual([]);
    },
  );

  test("masks features, and adds device state to what is accepted where it is offered", () => {
    using rig = new Rig();
    const exchange = (id: number, answered: bigint): bigint | undefined => {
      sendDescriptors(rig.qemu, messageBytes(id, FLAGS.version, new Uint8Array(0)), []);
      rig.settle();
      receiveDescriptors(rig.passt, 4096)?.[Symbol.dispose]();
      sendDescriptors(rig.passt, messageBytes(id, REPLY, u64(answered)), []);
      rig.settle();
      using got = receiveDescriptors(rig.qemu, 4096);
      return got && new DataView(got.bytes.buffer).getBigUint64(12, true);
    };
    expect(exchange(REQUEST.GET_FEATURES.id, 0xfn)).toBe(0xdn);
    expect(exchange(REQUEST.GET_PROTOCOL_FEATURES.id, 0x8_000en)).toBe(0x8_000an);
    const id = REQUEST.SET_PROTOCOL_FEATURES.id;
    sendDescriptors(rig.qemu, messageBytes(id, FLAGS.version, u64(0x8n)), []);
    rig.settle();
    using accepted = receiveDescriptors(rig.passt, 4096);
    expect(accepted?.bytes).toEqual(messageBytes(id, FLAGS.version, u64(0x8_0008n)));
    expect(rig.session.isIdle).toBe(true);
  });

  test("is at no safe point while an answer is due, or a message is half there", () => {
    using rig = new Rig();
    const ask = messageBytes(REQUEST.GET_QUEUE_NUM.id, FLAGS.version, new Uint8Array(0));
    let ran = 0;
    sendDescriptors(rig.qemu, ask.subarray(0, 5), []);
    rig.settle();
    expect(rig.session.isIdle).toBe(false);
    sendDescriptors(rig.qemu, ask.subarray(5), []);
    rig.settle();
    expect(rig.session.isIdle).toBe(false);
    rig.session.whenIdle(
      1000,
      () => void ran++,
      () => {},
    );
    expect(ran).toBe(0);
    sendDescriptors(rig.passt, messageBytes(REQUEST.GET_QUEUE_NUM.id, REPLY, u64(1n)), []);
    rig.settle();
    expect(ran).toBe(1);
  });

  test("holds one message when a side is full, and goes on when there is room", () => {
    using rig = new Rig();
    const message = messageBytes(REQUEST.SEND_RARP.id, FLAGS.version, new Uint8Array(4000));
    let sent = 0;
    for (let round = 0; round < 1000; round++) {
      const bytes = sendDescriptors(rig.qemu, message, []);
      rig.settle();
      if (bytes === 0) break;
      sent += bytes;
    }
    expect(sent).toBeLessThan(1000 * message.length); // Both sockets are full.
    let got = 0;
    for (;;) {
      using received = receiveDescriptors(rig.passt, 4096);
      if (received === undefined) {
        if (!rig.loop.step()) break;
        continue;
      }
      got += received.bytes.length;
    }
    expect(got).toBe(sent);
    expect(rig.ends).toEqual([]);
  });

  test.each([
    ["another version", messageBytes(1, 2, new Uint8Array(0)), "wanted version 1 in its flags"],
    ["too long a payload", messageBytes(1, 1, new Uint8Array(4097)), "at most 4096 bytes"],
  ])("ends with the reason at a message of %s", (_, bytes, reason) => {
    using rig = new Rig();
    sendDescriptors(rig.qemu, bytes, []);
    rig.settle();
    expect(rig.ends).toEqual([expect.stringContaining(reason)]);
    expect(rig.loop.watchCount).toBe(0);
  });

  test("ends for both when one side goes, also in the middle of a message", () => {
    for (const half of [0, 7]) {
      using rig = new Rig();
      if (half > 0) sendDescriptors(rig.qemu, new Uint8Array(half), []);
      rig.qemu[Symbol.dispose]();
      rig.settle();
      expect(rig.ends).toEqual([half === 0 ? "" : expect.stringContaining("after 7 bytes")]);
      using end = receiveDescriptors(rig.passt, 16);
      expect(end?.bytes.length).toBe(0);
    }
  });

  test("goes on with another back end", () => {
    using rig = new Rig();
    const [other, back] = makeSocketPair("stream");
    using theirs = other;
    makeNonBlocking(theirs);
    makeNonBlocking(back);
    rig.session.replaceBack(back);
    using gone = receiveDescriptors(rig.passt, 16);
    expect(gone?.bytes.length).toBe(0);
    const message = messageBytes(REQUEST.SEND_RARP.id, FLAGS.version, u64(3n));
    sendDescriptors(rig.qemu, message, []);
    rig.settle();
    using got = receiveDescriptors(theirs, 4096);
    expect(got?.bytes).toEqual(message);
  });
});
