// passt's state stream, byte for byte (migrate.c, flow.c and tcp.c of passt). No other file knows
// an offset of it.
//
//   header        magic, version, compat_version
//   seen          the guest's addresses as passt has seen them, and how many flows follow
//   flow          one a TCP connection
//   extended      one a TCP connection, each followed by its send queue and its receive queue
//
// All of it is big endian, but for two things: the four ports of a flow are in the byte order of
// the host that wrote it, and nothing in the header tells which; and version 1 has the MSS of the
// extended record so too. Version 1 (2025_02) lacks the timestamp.

import { assert } from "../base/index.ts";
import {
  any,
  atLeast,
  exactly,
  type Layout,
  oneOf,
  sizeOf,
  u16,
  u16be,
  u32,
  u32be,
  u64be,
  u8,
} from "../bytes/index.ts";

export const MAGIC = 0xb1bb_1d1b_0bb1_d1b0n;

export const HEADER = {
  magic: exactly(u64be, MAGIC),
  /** What its writer speaks. */
  version: atLeast(u32be, 1),
  /** The oldest version that can read it. */
  compat_version: atLeast(u32be, 1),
} satisfies Layout;

export const SEEN = {
  guest_ip6_high: any(u64be),
  guest_ip6_low: any(u64be),
  guest_link_local_high: any(u64be),
  guest_link_local_low: any(u64be),
  guest_ip4: any(u32be),
  guest_mac_high: any(u16be),
  guest_mac_low: any(u32be),
  flows: any(u32be),
} satisfies Layout;

/** Where a flow ends: "pif" in passt's words. */
export const INTERFACES = ["none", "host", "guest", "splice"] as const;

export const FLOW = {
  interface_0: oneOf(u8, [0, 1, 2, 3]),
  interface_1: oneOf(u8, [0, 1, 2, 3]),
  our_address_0_high: any(u64be),
  our_address_0_low: any(u64be),
  endpoint_0_high: any(u64be),
  endpoint_0_low: any(u64be),
  our_port_0: any(u16, "the writer's byte order"),
  endpoint_port_0: any(u16, "the writer's byte order"),
  our_address_1_high: any(u64be),
  our_address_1_low: any(u64be),
  endpoint_1_high: any(u64be),
  endpoint_1_low: any(u64be),
  our_port_1: any(u16, "the writer's byte order"),
  endpoint_port_1: any(u16, "the writer's byte order"),
  retransmissions: any(u8),
  window_scale_from_guest: any(u8),
  window_scale_to_guest: any(u8),
  events: any(u8, "bits; 0x4 is established"),
  guest_mss: any(u32be),
  send_buffer: any(u32be, "bytes >> 8"),
  flags: any(u8, "bits, not the same in all releases"),
  last_duplicate_ack: any(u8),
  window_from_guest: any(u16be),
  window_to_guest: any(u16be),
  sequence_to_guest: any(u32be),
  ack_from_guest: any(u32be),
  sequence_from_guest: any(u32be),
  ack_to_guest: any(u32be),
  initial_sequence_from_guest: any(u32be),
} satisfies Layout;

const extended = {
  send_sequence: any(u32be),
  receive_sequence: any(u32be),
  send_queue: any(u32be, "at most 64 MiB"),
  not_sent: any(u32be, "at most send_queue"),
  receive_queue: any(u32be, "at most 64 MiB"),
};
const window = {
  snd_wl1: any(u32be),
  snd_wnd: any(u32be),
  max_window: any(u32be),
  rcv_wnd: any(u32be),
  rcv_wup: any(u32be),
  send_window_scale: any(u8),
  receive_window_scale: any(u8),
  /** As the kernel numbers them; 0: the source asks to drop this flow, and no queue follows. */
  tcp_state: any(u8, "0 to 12"),
  options: any(u8, "TCPI bits"),
};
export const EXTENDED_1 = { ...extended, mss: any(u32), ...window } satisfies Layout;
export const EXTENDED_2 = {
  ...extended,
  mss: any(u32be),
  timestamp: any(u32be),
  ...window,
} satisfies Layout;

assert(sizeOf(HEADER) === 16, "passt's header is 16 bytes");
assert(sizeOf(HEADER) + sizeOf(SEEN) === 62, "a passt state without flows is 62 bytes");
assert(sizeOf(FLOW) === 112, "a flow record of passt is 112 bytes");
assert(sizeOf(EXTENDED_1) === 48, "an extended record of version 1 is 48 bytes");
assert(sizeOf(EXTENDED_2) === 52, "an extended record of version 2 is 52 bytes");

/** Newest first: of what we know, a reader takes the newest between compat_version and version. */
export const VERSIONS = [
  { id: 2, extended: EXTENDED_2 },
  { id: 1, extended: EXTENDED_1 },
] as const;

export const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** passt's table of flows. */
export const FLOWS_MAX = 128 * 1024;
export const TCP_STATES = 12;
