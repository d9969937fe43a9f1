// What a front end has told its back end: all that another back end has to be told to take its
// place. Kept by the proxy, from the messages as they pass; the descriptors in it are its own.

import { read } from "../bytes/index.ts";
import { duplicate, type Fd } from "../sys/index.ts";
import type { Payload } from "./front-end.ts";
import type { Message } from "./message-reader.ts";
import { type RequestName, requestNameOf, RING_INDEX_MASK, RING_STATE } from "./messages.ts";

export interface Ring {
  /** Payloads of the last SET_VRING_ of each name, with their descriptors. */
  readonly settings: Map<RequestName, Kept>;
  /** Where the next one to take is: as it was set, or as GET_VRING_BASE told. */
  base: number;
  /** It has been given a kick descriptor, and no GET_VRING_BASE has stopped it since. */
  isStarted: boolean;
}

/** A payload that the record owns the descriptors of. */
export interface Kept extends Payload {
  readonly descriptors: readonly Fd[];
}

/** Told again as they were: the last of each counts. */
const SETTINGS: ReadonlySet<RequestName> = new Set<RequestName>([
  "SET_PROTOCOL_FEATURES",
  "SET_OWNER",
  "SET_FEATURES",
  "SET_MEM_TABLE",
  "SET_BACKEND_REQ_FD",
  "NET_SET_MTU",
  "SET_STATUS",
]);

const RING_SETTINGS: ReadonlySet<RequestName> = new Set<RequestName>([
  "SET_VRING_NUM",
  "SET_VRING_BASE",
  "SET_VRING_ADDR",
  "SET_VRING_KICK",
  "SET_VRING_CALL",
  "SET_VRING_ERR",
  "SET_VRING_ENABLE",
  "SET_VRING_ENDIAN",
]);

/** Of rings, but with a mask where others have the index. */
const DESCRIPTOR_SETTINGS: ReadonlySet<RequestName> = new Set<RequestName>([
  "SET_VRING_KICK",
  "SET_VRING_CALL",
  "SET_VRING_ERR",
]);

/** They only ask, or leave nothing behind that a new back end lacks. */
const HARMLESS: ReadonlySet<RequestName> = new Set<RequestName>([
  "GET_FEATURES",
  "GET_PROTOCOL_FEATURES",
  "GET_QUEUE_NUM",
  "GET_VRING_BASE",
  "GET_CONFIG",
  "GET_MAX_MEM_SLOTS",
  "GET_STATUS",
  "SEND_RARP",
  "VRING_KICK",
]);

/** Owns the descriptors that it keeps. */
export class DeviceRecord implements Disposable {
  readonly settings = new Map<RequestName, Kept>();
  readonly rings = new Map<number, Ring>();
  /** Requests that a new back end could not be told: they are part of a longer conversation. */
  readonly unrepeatable = new Set<string>();
  /** The front end has saved or loaded by itself (a migration, a snapshot). */
  hasMovedState = false;

  /** Notes a request on its way to the back end. The message keeps its descriptors. */
  note(message: Message): void {
    const name = requestNameOf(message.request);
    if (name === undefined) {
      this.unrepeatable.add(`request ${message.request}`);
    } else if (RING_SETTINGS.has(name)) this.noteRing(name, message);
    else if (SETTINGS.has(name)) keep(this.settings, name, message);
    else if (name === "RESET_OWNER" || name === "RESET_DEVICE") this.stopRings();
    else if (name === "SET_DEVICE_STATE_FD") this.hasMovedState = true;
    else if (name !== "CHECK_DEVICE_STATE" && !HARMLESS.has(name)) this.unrepeatable.add(name);
  }

  /** Notes the answer to GET_VRING_BASE: the ring stands. */
  noteBase(index: number, base: number): void {
    const ring = this.ring(index);
    ring.base = base;
    ring.isStarted = false;
  }

  /** The value of a request with a u64; undefined when it was not sent. */
  number(name: RequestName): bigint | undefined {
    const bytes = this.settings.get(name)?.bytes;
    if (bytes === undefined || bytes.length !== 8) return undefined;
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  }

  /** Indices of the rings that go. */
  get startedRings(): number[] {
    return [...this.rings].filter(([, ring]) => ring.isStarted).map(([index]) => index);
  }

  /** Every descriptor that it keeps, in a fixed order. */
  get descriptors(): Fd[] {
    const kept = [...this.settings.values(), ...this.ringSettings()];
    return kept.flatMap(({ descriptors }) => descriptors);
  }

  [Symbol.dispose](): void {
    for (const fd of this.descriptors) fd[Symbol.dispose]();
    this.settings.clear();
    this.rings.clear();
  }

  ring(index: number): Ring {
    const known = this.rings.get(index);
    if (known !== undefined) return known;
    const ring: Ring = { settings: new Map(), base: 0, isStarted: false };
    this.rings.set(index, ring);
    return ring;
  }

  private *ringSettings(): Generator<Kept> {
    for (const ring of this.rings.values()) yield* ring.settings.values();
  }

  private noteRing(name: RequestName, message: Message): void {
    if (message.view.byteLength < 8) {
      this.unrepeatable.add(`${name} of ${message.view.byteLength} bytes`);
      return;
    }
    const word = message.view.getUint32(0, true);
    const index = DESCRIPTOR_SETTINGS.has(name) ? word & RING_INDEX_MASK : word;
    // Rings are numbered in a byte wherever a descriptor comes with them.
    if (index > RING_INDEX_MASK) {
      this.unrepeatable.add(`ring ${index}`);
      return;
    }
    const ring = this.ring(index);
    keep(ring.settings, name, message);
    if (name === "SET_VRING_BASE") ring.base = read(RING_STATE, message.view, 0).value;
    if (name === "SET_VRING_KICK") ring.isStarted = true;
  }

  private stopRings(): void {
    for (const ring of this.rings.values()) ring.isStarted = false;
  }
}

function keep(settings: Map<RequestName, Kept>, name: RequestName, message: Message): void {
  const old = settings.get(name);
  for (const fd of old?.descriptors ?? []) fd[Symbol.dispose]();
  const descriptors = message.descriptors.map((fd) => duplicate(fd.number, `${name} of the guest`));
  settings.set(name, {
    bytes: message.bytes.slice(message.bytes.length - message.view.byteLength),
    descriptors,
  });
}
