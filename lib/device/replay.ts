// Telling a back end what a front end has told another one before it: the device, and its rings.
//
// Before the guest waits: protocol features, owner, features, memory. While it waits, of each ring
// all of it, and last what makes it go. Nothing of a ring goes earlier: passt looks at the used
// index when it is told the addresses, and forgets the descriptors when it tells where it stands.

import type { Fd } from "../sys/index.ts";
import { sizeOf } from "../bytes/index.ts";
import type { DeviceRecord } from "./device-record.ts";
import { FrontEnd, numberPayload, payloadOf } from "./front-end.ts";
import { FLAGS, hasBit, PROTOCOL_BIT, RING_STATE } from "./messages.ts";

const BEFORE_RINGS = [
  "SET_PROTOCOL_FEATURES",
  "SET_OWNER",
  "SET_BACKEND_REQ_FD",
  "SET_FEATURES",
  "NET_SET_MTU",
  "SET_MEM_TABLE",
] as const;

const RING_ORDER = [
  "SET_VRING_ENDIAN",
  "SET_VRING_NUM",
  "SET_VRING_BASE",
  "SET_VRING_ADDR",
  "SET_VRING_CALL",
  "SET_VRING_ERR",
  "SET_VRING_KICK",
  "SET_VRING_ENABLE",
] as const;

/** All but the rings. Moving state is negotiated with it, even if the front end did not. */
export function replayDevice(record: DeviceRecord, to: FrontEnd): void {
  for (const name of BEFORE_RINGS) {
    const kept = record.settings.get(name);
    if (name === "SET_PROTOCOL_FEATURES") {
      const acked = record.number(name) ?? 0n;
      const wanted = acked | (1n << PROTOCOL_BIT.deviceState);
      to.send(name, numberPayload(wanted), FLAGS.version);
      to.acknowledges = hasBit(acked, PROTOCOL_BIT.replyAck);
    } else if (kept !== undefined) {
      to.tell(name, kept);
    }
  }
}

/** Stops the rings that go; the record then holds where each of them stands. */
export function stopRings(record: DeviceRecord, of: FrontEnd): number[] {
  const indices = record.startedRings;
  for (const index of indices) {
    const payload = payloadOf(RING_STATE, { index, value: 0 });
    using answer = of.askMessage("GET_VRING_BASE", payload, sizeOf(RING_STATE));
    record.noteBase(index, answer.view.getUint32(4, true));
  }
  return indices;
}

/** Makes these rings go on where they stand. */
export function startRings(record: DeviceRecord, indices: readonly number[], to: FrontEnd): void {
  for (const index of indices) {
    const ring = record.ring(index);
    for (const name of RING_ORDER) {
      const kept = ring.settings.get(name);
      // Nobody waits for an answer in between: all of them are on their way at once.
      if (name === "SET_VRING_BASE") {
        to.send(name, payloadOf(RING_STATE, { index, value: ring.base }), FLAGS.version);
      } else if (kept !== undefined) to.send(name, kept, FLAGS.version);
    }
    ring.isStarted = true;
  }
  const status = record.settings.get("SET_STATUS");
  if (status !== undefined) to.tell("SET_STATUS", status);
}

/** Event descriptors of a ring: what makes the back end look, and the guest. */
export const eventsOf = (record: DeviceRecord, indices: readonly number[]): Fd[] =>
  indices.flatMap((index) => {
    const { settings } = record.ring(index);
    const names = ["SET_VRING_KICK", "SET_VRING_CALL"] as const;
    return names.flatMap((name) => [...(settings.get(name)?.descriptors ?? [])]);
  });
