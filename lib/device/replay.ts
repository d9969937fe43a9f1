// Telling a back end what a front end has told another one before it: the device, and its rings.
//
// Before the rings: protocol features, owner, features, memory. Then each ring: size, base,
// addresses, and last what makes it go, so that no ring goes before it is known whole.

import type { Fd } from "../sys/index.ts";
import { sizeOf } from "../bytes/index.ts";
import type { DeviceRecord, Ring } from "./device-record.ts";
import { FrontEnd, numberPayload, payloadOf } from "./front-end.ts";
import { FLAGS, hasBit, PROTOCOL_BIT, type RequestName, RING_STATE } from "./messages.ts";

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

/** All but the rings. Moving state is negotiated with it, whether the front end did that or not. */
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

/** Sets up every ring that is known, and makes those go that are named. */
export function startRings(record: DeviceRecord, indices: readonly number[], to: FrontEnd): void {
  for (const [index, ring] of record.rings) {
    const goes = indices.includes(index);
    for (const name of RING_ORDER) {
      if (name === "SET_VRING_KICK" && !goes) continue;
      tellRing({ index, ring, name }, to);
    }
    ring.isStarted = goes;
  }
  const status = record.settings.get("SET_STATUS");
  if (status !== undefined) to.tell("SET_STATUS", status);
}

/** Sends without asking for an answer: all of them are on their way at once. */
function tellRing(
  {
    index,
    ring,
    name,
  }: {
    readonly index: number;
    readonly ring: Ring;
    readonly name: RequestName;
  },
  to: FrontEnd,
): void {
  const kept = ring.settings.get(name);
  if (name === "SET_VRING_BASE") {
    to.send(name, payloadOf(RING_STATE, { index, value: ring.base }), FLAGS.version);
  } else if (kept !== undefined) to.send(name, kept, FLAGS.version);
}

/** Event descriptors of a ring: what makes the back end look, and the guest. */
export const eventsOf = (record: DeviceRecord, indices: readonly number[]): Fd[] =>
  indices.flatMap((index) => {
    const { settings } = record.ring(index);
    const names = ["SET_VRING_KICK", "SET_VRING_CALL"] as const;
    return names.flatMap((name) => [...(settings.get(name)?.descriptors ?? [])]);
  });
