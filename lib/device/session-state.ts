// A session as bytes and descriptors, so that another program goes on with it after any byte.

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";
import type { Fd } from "../sys/index.ts";
import { DeviceRecord, type Kept } from "./device-record.ts";
import { HEADER_BYTES, REQUEST, type RequestName, requestNameOf } from "./messages.ts";
import { type Message, messageOf, type MessageReader } from "./message-reader.ts";

/** One of the two that a session joins. */
export interface Side {
  socket: Fd;
  reader: MessageReader;
  /** A message for this side that did not fit. */
  held: Message | undefined;
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const base64 = v.pipe(v.string(), v.base64());
const keys = v.array(v.string());
const Bytes = v.strictObject({ bytes: base64, fds: keys });
const Setting = v.strictObject({ request: count, payload: base64, fds: keys });
const SideState = v.strictObject({
  socket: v.string(),
  /** The part of a message that has come. */
  half: Bytes,
  /** A whole one that has not gone yet. */
  held: v.nullable(Bytes),
});

export const SessionState = v.strictObject({
  front: SideState,
  back: SideState,
  due: v.array(count),
  offered_protocol: v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/)),
  messages: count,
  record: v.strictObject({
    settings: v.array(Setting),
    rings: v.array(
      v.strictObject({
        index: count,
        base: count,
        is_started: v.boolean(),
        settings: v.array(Setting),
      }),
    ),
    unrepeatable: v.array(v.string()),
    has_moved_state: v.boolean(),
  }),
});
export type SessionState = v.InferOutput<typeof SessionState>;

/** The key that a descriptor is carried under, always the same for one descriptor. */
export type KeyOf = (fd: Fd) => string;
/** The descriptor of a key, for whoever asks first. */
export type TakeFd = (key: string) => Fd;

const text = (bytes: Uint8Array): string => bytes.toBase64();
const bytesOf = (encoded: string): Uint8Array => Uint8Array.fromBase64(encoded);

// ---- One side
// -------------------------------------------------------------------------------------

export function sideState({ socket, reader, held }: Side, keyOf: KeyOf): SessionState["front"] {
  return {
    socket: keyOf(socket),
    half: { bytes: text(reader.halfRead), fds: reader.halfReadDescriptors.map(keyOf) },
    held: held === undefined ? null : { bytes: text(held.bytes), fds: held.descriptors.map(keyOf) },
  };
}

/** Throws RefusedError for a message that is none. */
export function restoreSide(side: Side, state: SessionState["front"], take: TakeFd): void {
  side.reader.resume(bytesOf(state.half.bytes), state.half.fds.map(take));
  if (state.held === null) return;
  const bytes = bytesOf(state.held.bytes);
  if (bytes.length < HEADER_BYTES) throw new RefusedError("Cannot go on: a held message is cut");
  side.held = messageOf(bytes, state.held.fds.map(take));
}

// ---- The record
// -----------------------------------------------------------------------------------

export function recordState(record: DeviceRecord, keyOf: KeyOf): SessionState["record"] {
  return {
    settings: settingsState(record.settings, keyOf),
    rings: [...record.rings].map(([index, { base, isStarted, settings }]) => ({
      index,
      base,
      is_started: isStarted,
      settings: settingsState(settings, keyOf),
    })),
    unrepeatable: [...record.unrepeatable],
    has_moved_state: record.hasMovedState,
  };
}

export function recordFrom(state: SessionState["record"], take: TakeFd): DeviceRecord {
  const record = new DeviceRecord();
  restoreSettings(record.settings, state.settings, take);
  for (const { index, base, is_started: isStarted, settings } of state.rings) {
    const ring = record.ring(index);
    ring.base = base;
    ring.isStarted = isStarted;
    restoreSettings(ring.settings, settings, take);
  }
  for (const name of state.unrepeatable) record.unrepeatable.add(name);
  record.hasMovedState = state.has_moved_state;
  return record;
}

const settingsState = (
  settings: ReadonlyMap<RequestName, Kept>,
  keyOf: KeyOf,
): v.InferOutput<typeof Setting>[] =>
  [...settings].map(([name, { bytes, descriptors }]) => ({
    request: REQUEST[name].id,
    payload: text(bytes),
    fds: descriptors.map(keyOf),
  }));

function restoreSettings(
  settings: Map<RequestName, Kept>,
  state: readonly v.InferOutput<typeof Setting>[],
  take: TakeFd,
): void {
  for (const { request, payload, fds } of state) {
    const name = requestNameOf(request);
    if (name === undefined) throw new RefusedError(`Cannot go on: request ${request} is unknown`);
    settings.set(name, { bytes: bytesOf(payload), descriptors: fds.map(take) });
  }
}
