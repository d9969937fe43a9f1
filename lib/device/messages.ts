// vhost-user messages: header, payloads, and a row for each request (docs/interop/vhost-user.rst of
// QEMU 10). Integers are in the byte order of the host, which is little endian wherever we run.

import { assert } from "../base/index.ts";
import { any, type Layout, oneOf, reserved, sizeOf, u32, u64 } from "../bytes/index.ts";

export const FLAGS = { version: 0x1, versionMask: 0x3, reply: 0x4, needReply: 0x8 } as const;

export const MESSAGE_HEADER = {
  request: any(u32),
  flags: any(u32, "bits 0-1 version 1, bit 2 reply, bit 3 need_reply"),
  payload_bytes: any(u32),
} satisfies Layout;
export const HEADER_BYTES = sizeOf(MESSAGE_HEADER);
assert(HEADER_BYTES === 12, "a vhost-user header is 12 bytes");

/** More than any payload that the specification has; passt takes 264 bytes. */
export const PAYLOAD_BYTES_MAX = 4096;

export const NUMBER = { value: any(u64) } satisfies Layout;
export const RING_STATE = { index: any(u32), value: any(u32) } satisfies Layout;
export const RING_ADDRESS = {
  index: any(u32),
  flags: any(u32),
  descriptors: any(u64),
  used: any(u64),
  available: any(u64),
  log: any(u64),
} satisfies Layout;
export const DEVICE_STATE = {
  direction: oneOf(u32, [0, 1]),
  /** 0: the device is stopped. No other is specified, and passt dies of any other. */
  phase: reserved(u32),
} satisfies Layout;
assert(sizeOf(RING_ADDRESS) === 40, "ring addresses are 40 bytes");

export const DIRECTION = { save: 0, load: 1 } as const;

/** Of SET_VRING_KICK, CALL and ERR: the ring, and whether there is no descriptor. */
export const RING_INDEX_MASK = 0xff;
export const NO_DESCRIPTOR_MASK = 0x100;

/** Of the answer to SET_DEVICE_STATE_FD. */
export const STATE_ERROR_MASK = 0xffn;
export const NO_STATE_DESCRIPTOR_MASK = 0x100n;

type Answer =
  /** Only when need_reply asks for it. */
  | "acknowledged"
  | "always"
  /** In some modes of the device that a message in between does not know (postcopy, logging). */
  | "sometimes";

interface RequestRow {
  readonly id: number;
  readonly answer: Answer;
}
const acknowledged = (id: number): RequestRow => ({ id, answer: "acknowledged" });
const always = (id: number): RequestRow => ({ id, answer: "always" });
const sometimes = (id: number): RequestRow => ({ id, answer: "sometimes" });

export const REQUEST = {
  GET_FEATURES: always(1),
  SET_FEATURES: acknowledged(2),
  SET_OWNER: acknowledged(3),
  RESET_OWNER: acknowledged(4),
  SET_MEM_TABLE: sometimes(5),
  SET_LOG_BASE: sometimes(6),
  SET_LOG_FD: acknowledged(7),
  SET_VRING_NUM: acknowledged(8),
  SET_VRING_ADDR: acknowledged(9),
  SET_VRING_BASE: acknowledged(10),
  GET_VRING_BASE: always(11),
  SET_VRING_KICK: acknowledged(12),
  SET_VRING_CALL: acknowledged(13),
  SET_VRING_ERR: acknowledged(14),
  GET_PROTOCOL_FEATURES: always(15),
  SET_PROTOCOL_FEATURES: acknowledged(16),
  GET_QUEUE_NUM: always(17),
  SET_VRING_ENABLE: acknowledged(18),
  SEND_RARP: acknowledged(19),
  NET_SET_MTU: acknowledged(20),
  SET_BACKEND_REQ_FD: acknowledged(21),
  IOTLB_MSG: acknowledged(22),
  SET_VRING_ENDIAN: acknowledged(23),
  GET_CONFIG: always(24),
  SET_CONFIG: acknowledged(25),
  CREATE_CRYPTO_SESSION: always(26),
  CLOSE_CRYPTO_SESSION: acknowledged(27),
  POSTCOPY_ADVISE: always(28),
  POSTCOPY_LISTEN: acknowledged(29),
  POSTCOPY_END: always(30),
  GET_INFLIGHT_FD: always(31),
  SET_INFLIGHT_FD: acknowledged(32),
  GPU_SET_SOCKET: acknowledged(33),
  RESET_DEVICE: acknowledged(34),
  VRING_KICK: acknowledged(35),
  GET_MAX_MEM_SLOTS: always(36),
  ADD_MEM_REG: sometimes(37),
  REM_MEM_REG: acknowledged(38),
  SET_STATUS: acknowledged(39),
  GET_STATUS: always(40),
  GET_SHARED_OBJECT: always(41),
  SET_DEVICE_STATE_FD: always(42),
  CHECK_DEVICE_STATE: always(43),
} as const satisfies Record<string, RequestRow>;
export type RequestName = keyof typeof REQUEST;

const BY_ID: ReadonlyMap<number, RequestName> = new Map(
  Object.entries(REQUEST).map(([name, { id }]) => [id, name as RequestName]),
);
assert(BY_ID.size === Object.keys(REQUEST).length, "each request has its own number");

/** undefined for one that is not in the table: a newer one. */
export const requestNameOf = (id: number): RequestName | undefined => BY_ID.get(id);

/** "SET_OWNER (3)" */
export const describeRequest = (id: number): string => `${BY_ID.get(id) ?? "request"} (${id})`;

/** Bits of GET_FEATURES that somebody needs to name. */
export const FEATURE_BITS: Readonly<Record<string, number>> = {
  "guest-csum": 1,
  mtu: 3,
  mac: 5,
  "mrg-rxbuf": 15,
  status: 16,
  "ctrl-vq": 17,
  mq: 22,
  "log-all": 26,
  "indirect-desc": 28,
  "event-idx": 29,
  "protocol-features": 30,
  "version-1": 32,
  "iommu-platform": 33,
  "ring-packed": 34,
  "in-order": 35,
  "ring-reset": 40,
};
export const PROTOCOL_FEATURES_BIT = 30n;
export const PROTOCOL_BIT = {
  mq: 0n,
  logShmfd: 1n,
  rarp: 2n,
  replyAck: 3n,
  backendRequests: 5n,
  inflight: 12n,
  memorySlots: 15n,
  status: 16n,
  deviceState: 19n,
} as const;

export const hasBit = (bits: bigint, bit: bigint): boolean => ((bits >> bit) & 1n) === 1n;

const BIT_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FEATURE_BITS).map(([name, bit]) => [bit, name]),
);

/** "guest-csum, bit 44" */
export function describeFeatures(bits: bigint): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (hasBit(bits, BigInt(bit))) names.push(BIT_NAMES.get(bit) ?? `bit ${bit}`);
  }
  return names.join(", ");
}
