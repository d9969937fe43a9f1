// passt's state: read by name, refused where it is not as it must be, at every length it can be cut
// to.

import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { describeFinding } from "../../lib/bytes/index.ts";
import { DeviceInspectSchema, inspectDeviceState } from "../../lib/device/inspect.ts";
import { docs } from "../../lib/bytes/index.ts";
import { EXTENDED_2, FLOW } from "../../lib/device/passt-layout.ts";
import {
  checkedPasstState,
  emptyPasstState,
  readPasstState,
} from "../../lib/device/passt-state.ts";
import { stateInMemory } from "../../lib/device/state-bytes.ts";
import { idleFlow, passtBytes } from "../helpers/passt-bytes.ts";

const LITTLE = { bigEndianPorts: false };
const problems = (bytes: Uint8Array): string[] =>
  readPasstState(stateInMemory(bytes), 10).findings.map(describeFinding);

const queued = {
  sendQueue: new Uint8Array(300).fill(1),
  receiveQueue: new Uint8Array(20).fill(2),
  tcpState: 1,
};
const GOOD = passtBytes({ version: 2, compat: 2, flows: [idleFlow, queued] });

describe("a state of passt", () => {
  test("has the sizes that were measured", () => {
    expect(emptyPasstState(2, 2).length).toBe(62);
    expect(passtBytes({ version: 2, compat: 2, flows: [idleFlow] }).length).toBe(226);
    expect(docs(FLOW).at(-1)).toStartWith("| 108 |");
    expect(docs(EXTENDED_2).at(-1)).toStartWith("| 51 |");
  });

  test.each([
    ["no flows", emptyPasstState(2, 2)],
    ["two flows", GOOD],
    [
      "a flow that the source asks to drop",
      passtBytes({ version: 2, compat: 2, flows: [{ ...queued, tcpState: 0 }] }),
    ],
    ["version 1", passtBytes({ version: 1, compat: 1, flows: [queued] })],
    ["a newer version that 2 can read", passtBytes({ version: 3, compat: 2, flows: [] })],
    ["a newer one that 1 can read", passtBytes({ version: 3, compat: 1, flows: [] })],
  ])("is good with %s", (_, bytes) => {
    expect(problems(bytes)).toEqual([]);
    expect(() => checkedPasstState(stateInMemory(bytes))).not.toThrow();
  });

  const swapped = GOOD.slice();
  swapped.subarray(0, 8).reverse();
  const manyFlows = emptyPasstState(2, 2);
  manyFlows.fill(0xff, 58);
  const oneFlow = emptyPasstState(2, 2);
  oneFlow[61] = 1;
  const long = passtBytes({ version: 2, compat: 2, flows: [idleFlow] });
  new DataView(long.buffer).setUint32(174 + 8, 0x4000_0001);
  const unsent = passtBytes({ version: 2, compat: 2, flows: [idleFlow] });
  new DataView(unsent.buffer).setUint32(174 + 12, 7);

  test.each([
    [
      "another byte order",
      swapped,
      "header.magic at offset 0x0: expected 0xb1bb1d1b0bb1d1b0, found 0xb0d1b10b1b1dbbb1",
    ],
    [
      "version 0",
      emptyPasstState(0, 2),
      "header.version at offset 0x8: expected at least 0x1, found 0x0",
    ],
    [
      "compat 0",
      emptyPasstState(2, 0),
      "header.compat_version at offset 0xc: expected at least 0x1, found 0x0",
    ],
    [
      "3/3",
      emptyPasstState(3, 3),
      "header.version at offset 0x8: expected one readable as 2 or 1, found 3, readable from 3 on",
    ],
    [
      "1/3",
      emptyPasstState(1, 3),
      "header.version at offset 0x8: expected one readable as 2 or 1, found 1, readable from 3 on",
    ],
    [
      "too many flows",
      manyFlows,
      "seen.flows at offset 0x3a: expected at most 131072, found 4294967295",
    ],
    [
      "a flow that is not there",
      oneFlow,
      "flow.length at offset 0x3e (record 1): expected 112 bytes, found 0 bytes",
    ],
    [
      "too long a queue",
      long,
      "extended.send_queue at offset 0xae (record 1): expected at most 0x4000000, found 0x40000001",
    ],
    [
      "more unsent than queued",
      unsent,
      "extended.not_sent at offset 0xae (record 1): expected at most send_queue, 0x0, found 0x7",
    ],
    [
      "bytes behind it",
      new Uint8Array([...GOOD, 0]),
      `state.length at offset 0x${GOOD.length.toString(16)}: ` +
        `expected the end after ${GOOD.length} bytes, found ${GOOD.length + 1} bytes`,
    ],
  ])("is refused with %s", (_, bytes, message) => {
    expect(problems(bytes)[0]).toBe(`passt ${message}`);
    expect(() => checkedPasstState(stateInMemory(bytes))).toThrow(message);
  });

  test("is refused cut at every length", () => {
    for (let length = 0; length < GOOD.length; length++) {
      expect(problems(GOOD.subarray(0, length))).toHaveLength(1);
    }
  });
});

describe("what is told of a state", () => {
  test("passt's flows by name, as JSON that keeps its schema", () => {
    const report = inspectDeviceState(stateInMemory(GOOD), LITTLE);
    expect(v.parse(DeviceInspectSchema, report)).toEqual(report);
    const [, second] = report.passt?.flows ?? [];
    expect(second?.sides[0]).toEqual({
      interface: "host",
      our_address: "::",
      our_port: 40001,
      endpoint: "203.0.113.7",
      endpoint_port: 9000,
    });
    expect(second).toMatchObject({ tcp_state: "established", send_queue: 300, receive_queue: 20 });
    expect(second?.send_buffer).toBe(4096);
    expect(report.passt?.guest).toMatchObject({ ip4: "169.254.2.1", mac: "52:54:00:00:00:00" });
  });

  test("ports of a big-endian host, when asked for", () => {
    const report = inspectDeviceState(stateInMemory(GOOD), { bigEndianPorts: true });
    expect(report.passt?.flows[0]?.sides[0].endpoint_port).toBe(0x2823);
  });

  test("QEMU's framing, and what it frames", () => {
    const framed = (pieces: readonly Uint8Array[]): Uint8Array =>
      Buffer.concat(
        [...pieces, new Uint8Array(0)].flatMap((piece) => {
          const length = Buffer.alloc(4);
          length.writeUInt32BE(piece.length);
          return [length, piece];
        }),
      );
    const bytes = framed([GOOD.subarray(0, 70), GOOD.subarray(70, 71), GOOD.subarray(71)]);
    const report = inspectDeviceState(stateInMemory(bytes), LITTLE);
    expect(report).toMatchObject({ kind: "passt", bytes: GOOD.length, problems: [] });
    expect(report.framing).toEqual({ chunks: 3, bytes: bytes.length });
    const opaque = inspectDeviceState(stateInMemory(framed([new Uint8Array([1, 2, 3])])), LITTLE);
    expect(opaque).toMatchObject({ kind: "unknown", head: "010203", bytes: 3 });
  });

  test("the bytes of any other", () => {
    const report = inspectDeviceState(stateInMemory(Buffer.from("another's")), LITTLE);
    expect(report).toMatchObject({ kind: "unknown", head: Buffer.from("another's").toHex() });
    expect(inspectDeviceState(stateInMemory(new Uint8Array(0)), LITTLE).bytes).toBe(0);
  });
});
