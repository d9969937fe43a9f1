// Fuzzers of vhost-user and of device state: messages of every kind in both directions through the
// proxy's session, answers of a back end to our own requests, saved states, control packets.
// Nothing may hang, throw anything but a refusal, or leave a descriptor open.

import { assert, RefusedError } from "../../lib/base/index.ts";
import { beginTransfer, negotiate } from "../../lib/device/back-end.ts";
import { ControlRequest, packetOf, parsePacket } from "../../lib/device/control-messages.ts";
import { FrontEnd, messageBytes } from "../../lib/device/front-end.ts";
import { inspectDeviceState } from "../../lib/device/inspect.ts";
import { PAYLOAD_BYTES_MAX, REQUEST } from "../../lib/device/messages.ts";
import { Session } from "../../lib/device/session.ts";
import { stateInMemory } from "../../lib/device/state-bytes.ts";
import {
  type Fd,
  makeNonBlocking,
  makePipe,
  makeSocketPair,
  openNull,
  receiveDescriptors,
  sendDescriptors,
} from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { idleFlow, passtBytes } from "../helpers/passt-bytes.ts";
import { SteppedLoop } from "../helpers/stepped-loop.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { edgy, onceIn, pick, type Random } from "./random.ts";

const IDS = Object.values(REQUEST).map(({ id }) => id);
const PAYLOADS = [0, 0, 8, 8, 8, 16, 40, 72, 264] as const;
const BOTH_ENDS = ["front", "back"] as const;
const ANSWER_WAIT_MS = 0;

/** A message, most of the time of a known kind, sometimes one that makes no sense. */
function randomMessage(random: Random, isReply: boolean): Uint8Array {
  const id = onceIn(random, 12) ? edgy(random) : pick(random, IDS);
  const flags = onceIn(random, 12) ? edgy(random) : (isReply ? 5 : 1) | (onceIn(random, 3) ? 8 : 0);
  const bytes = onceIn(random, 20) ? random(PAYLOAD_BYTES_MAX + 2) : pick(random, PAYLOADS);
  const payload = new Uint8Array(bytes);
  if (bytes >= 8) {
    const view = new DataView(payload.buffer);
    view.setUint32(0, onceIn(random, 2) ? random(4) : edgy(random), true);
    view.setUint32(4, onceIn(random, 2) ? random(4) : edgy(random), true);
  }
  const message = messageBytes(id, flags, payload);
  if (onceIn(random, 12)) new DataView(message.buffer).setUint32(8, edgy(random), true);
  return message;
}

/** The bytes a session changes on their way: it adds a bit to SET_PROTOCOL_FEATURES. */
const isChanged = (id: number): boolean => id === REQUEST.SET_PROTOCOL_FEATURES.id;

const session: Fuzzer = {
  name: "vhost_user",
  share: 2,
  run(random) {
    using nothing = openNull();
    const before = openDescriptors();
    {
      using loop = new SteppedLoop();
      const [qemu, front] = makeSocketPair("stream");
      const [passt, back] = makeSocketPair("stream");
      for (const fd of [qemu, front, passt, back]) makeNonBlocking(fd);
      let ended = 0;
      const onEnd = (): void => void ended++;
      const masks = { features: 0n, protocolFeatures: 0n };
      using under = new Session({ loop, front, back, masks, onEnd, restored: undefined });
      const ends = { front: qemu, back: passt };
      const sent = { front: [] as number[], back: [] as number[] };
      const got = { front: [] as number[], back: [] as number[] };
      for (let count = random(12); count >= 0 && ended === 0; count--) {
        const from = pick(random, BOTH_ENDS);
        const message = randomMessage(random, from === "back");
        if (isChanged(new DataView(message.buffer).getUint32(0, true))) continue;
        const cut = onceIn(random, 15) ? random(message.length) : message.length;
        sendPieces({ to: ends[from], message: message.subarray(0, cut), nothing }, random);
        sent[from].push(...message.subarray(0, cut));
        for (let step = 0; loop.step(); step++) assert(step < 10_000, "a session comes to rest");
        if (onceIn(random, 3)) drain(ends, got);
      }
      drain(ends, got);
      for (const from of BOTH_ENDS) {
        const to = from === "front" ? "back" : "front";
        const whole = got[to].every((byte, index) => byte === sent[from][index]);
        assert(whole && got[to].length <= sent[from].length, "what comes out was sent");
      }
      if (onceIn(random, 2)) (onceIn(random, 2) ? qemu : passt)[Symbol.dispose]();
      for (let step = 0; loop.step(); step++) assert(step < 10_000, "a session comes to rest");
      assert(ended <= 1, "a session ends once");
      under[Symbol.dispose]();
      assert(loop.watchCount === 0, "a session that has ended watches nothing");
      qemu[Symbol.dispose]();
      passt[Symbol.dispose]();
    }
    assert(openedSince(before).length === 0, "no descriptor is left open");
  },
};

interface Sending {
  readonly to: Fd;
  readonly message: Uint8Array;
  readonly nothing: Fd;
}

/** In one piece or several; the first with descriptors now and then, whoever wants them or not. */
function sendPieces({ to, message, nothing }: Sending, random: Random): void {
  for (let at = 0; at < message.length;) {
    const bytes = onceIn(random, 3) ? 1 + random(message.length - at) : message.length - at;
    const count = onceIn(random, 3) ? random(onceIn(random, 20) ? 250 : 10) : 0;
    const fds = Array.from({ length: count }, () => nothing.number);
    if (sendDescriptors(to, message.subarray(at, at + bytes), fds) === 0) return;
    at += bytes;
  }
}

function drain(
  ends: Readonly<Record<"front" | "back", Fd>>,
  got: Record<"front" | "back", number[]>,
): void {
  for (const end of BOTH_ENDS) {
    for (;;) {
      using received = receiveOrNothing(ends[end]);
      if (received === undefined || received.bytes.length === 0) break;
      got[end].push(...received.bytes);
    }
  }
}

/** A side that was closed with bytes unread is a reset for the other. */
function receiveOrNothing(fd: Fd): ReturnType<typeof receiveDescriptors> {
  try {
    return receiveDescriptors(fd, 60_000);
  } catch {
    return undefined;
  }
}

const GOOD_ANSWERS = [
  messageBytes(1, 5, new Uint8Array([0, 0x80, 0, 0x40, 1, 0, 0, 0])),
  messageBytes(15, 5, new Uint8Array([0x0e, 0, 8, 0, 0, 0, 0, 0])),
  messageBytes(3, 5, new Uint8Array(8)),
  messageBytes(2, 5, new Uint8Array(8)),
  messageBytes(42, 5, new Uint8Array([0, 1, 0, 0, 0, 0, 0, 0])),
  messageBytes(43, 5, new Uint8Array(8)),
] as const;

const answers: Fuzzer = {
  name: "vhost_user_answers",
  share: 2,
  run(random) {
    using nothing = openNull();
    const before = openDescriptors();
    {
      const pair = makeSocketPair("stream");
      using ours = pair[0];
      using theirs = pair[1];
      makeNonBlocking(ours);
      const bad = random(GOOD_ANSWERS.length + 1);
      for (const [index, answer] of GOOD_ANSWERS.entries()) {
        const isBad = index === bad;
        const bytes = isBad ? damaged(answer, random) : answer;
        if (bytes.length === 0) continue;
        const count = isBad && onceIn(random, 2) ? random(12) : 0;
        const fds = Array.from({ length: count }, () => nothing.number);
        sendDescriptors(theirs, bytes, fds);
      }
      if (onceIn(random, 4)) theirs[Symbol.dispose]();
      using frontEnd = new FrontEnd(ours, ANSWER_WAIT_MS);
      const pipe = makePipe();
      using _readEnd = pipe.readEnd;
      using _writeEnd = pipe.writeEnd;
      try {
        negotiate(frontEnd, "it");
        using _own = beginTransfer(frontEnd, "save", pipe.writeEnd);
        frontEnd.ask("CHECK_DEVICE_STATE", { bytes: new Uint8Array(0), descriptors: [] });
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
      }
    }
    assert(openedSince(before).length === 0, "no descriptor is left open");
  },
};

const damaged = (answer: Uint8Array, random: Random): Uint8Array =>
  onceIn(random, 2) ? mutateBytes(answer.slice(), random) : randomMessage(random, true);

const queue = new Uint8Array(40).fill(7);
const STATES = [
  passtBytes({ version: 2, compat: 2, flows: [] }),
  passtBytes({ version: 1, compat: 1, flows: [idleFlow] }),
  passtBytes({
    version: 2,
    compat: 2,
    flows: [{ sendQueue: queue, receiveQueue: queue, tcpState: 1 }, idleFlow],
  }),
] as const;

const states: Fuzzer = {
  name: "device_state",
  share: 4,
  run(random) {
    const state = mutateBytes(pick(random, STATES).slice(), random);
    const framed = onceIn(random, 4) ? Buffer.concat([lengthOf(state), state, lengthOf()]) : state;
    const report = inspectDeviceState(stateInMemory(framed), { bigEndianPorts: onceIn(random, 2) });
    assert(report.problems.length <= 100, "problems are bounded");
    assert(report.bytes <= framed.length, "a state is no longer than its bytes");
  },
};

function lengthOf(bytes: Uint8Array = new Uint8Array(0)): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}

const control: Fuzzer = {
  name: "device_control",
  share: 1,
  run(random) {
    const request = { do: "swap", to: "/a", fallback: null, loses_connections: false } as const;
    const bytes = mutateBytes(new Uint8Array(packetOf(request)), random);
    parsePacket(ControlRequest, bytes); // Known or undefined; it does not throw.
  },
};

export const DEVICE_FUZZERS: readonly Fuzzer[] = [session, answers, states, control];
