// What a saved device state is, and what is in it: passt's own by name; QEMU's framing of one, and
// what it frames; of any other its bytes.

import { isIPv4 } from "node:net";
import * as v from "valibot";
import { describeFinding } from "../bytes/index.ts";
import { INTERFACES } from "./passt-layout.ts";
import {
  isPasstState,
  type PasstExtended,
  type PasstFlow,
  type PasstFlowRecord,
  readPasstState,
} from "./passt-state.ts";
import { chunksOf } from "./qemu-chunks.ts";
import { type StateBytes, stateOfPieces, VIEW_BYTES_MAX } from "./state-bytes.ts";

/** Flows that are told one by one. */
const FLOWS_TOLD_MAX = 10_000;
const UNKNOWN_BYTES_TOLD_MAX = VIEW_BYTES_MAX;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Side = v.strictObject({
  interface: v.pipe(v.string(), v.description("none, host, guest or splice")),
  our_address: v.string(),
  our_port: count,
  endpoint: v.string(),
  endpoint_port: count,
});
const Flow = v.strictObject({
  sides: v.tuple([Side, Side]),
  tcp_state: v.nullable(v.pipe(v.string(), v.description("null where the state ends before it"))),
  send_queue: v.nullable(v.pipe(count, v.description("bytes not acknowledged yet"))),
  not_sent: v.nullable(count),
  receive_queue: v.nullable(v.pipe(count, v.description("bytes the guest has not taken"))),
  retransmissions: count,
  window_scale_from_guest: count,
  window_scale_to_guest: count,
  events: count,
  flags: count,
  guest_mss: count,
  send_buffer: count,
  last_duplicate_ack: count,
  window_from_guest: count,
  window_to_guest: count,
  sequence_to_guest: count,
  ack_from_guest: count,
  sequence_from_guest: count,
  ack_to_guest: count,
  initial_sequence_from_guest: count,
  socket: v.nullable(
    v.pipe(v.record(v.string(), count), v.description("the extended record, field by field")),
  ),
});
const Passt = v.strictObject({
  version: v.nullable(count),
  compat_version: v.nullable(count),
  read_as: v.nullable(v.pipe(count, v.description("null for no version that is known"))),
  port_byte_order: v.pipe(v.picklist(["little", "big"]), v.description("as asked: not in it")),
  guest: v.nullable(
    v.strictObject({ ip6: v.string(), link_local: v.string(), ip4: v.string(), mac: v.string() }),
  ),
  flow_count: v.nullable(count),
  flows: v.array(Flow),
});

export const DeviceInspectSchema = v.strictObject({
  kind: v.picklist(["passt", "unknown"]),
  bytes: v.pipe(count, v.description("of the state itself, without framing")),
  framing: v.nullable(v.strictObject({ chunks: count, bytes: count })),
  passt: v.nullable(Passt),
  head: v.nullable(v.pipe(v.string(), v.description("first bytes of an unknown state, in hex"))),
  problems: v.array(v.string()),
});
export type DeviceInspect = v.InferOutput<typeof DeviceInspectSchema>;
export type InspectedFlow = v.InferOutput<typeof Flow>;

export interface InspectOptions {
  /** The host that wrote it was big-endian: nothing in the state tells. */
  readonly bigEndianPorts: boolean;
}

export function inspectDeviceState(state: StateBytes, options: InspectOptions): DeviceInspect {
  const framing = chunksOf(state);
  const inner = framing === undefined ? state : stateOfPieces(state, framing);
  const chunks = framing === undefined ? null : { chunks: framing.length, bytes: state.bytes };
  const found = { bytes: inner.bytes, framing: chunks };
  if (isPasstState(inner)) return { kind: "passt", ...found, head: null, ...passt(inner, options) };
  const told = inner.view(0, Math.min(inner.bytes, UNKNOWN_BYTES_TOLD_MAX));
  const head = new Uint8Array(told.buffer, told.byteOffset, told.byteLength).toHex();
  return { kind: "unknown", ...found, passt: null, head, problems: [] };
}

function passt(
  state: StateBytes,
  { bigEndianPorts }: InspectOptions,
): Pick<DeviceInspect, "passt" | "problems"> {
  const { header, version, seen, flows, findings } = readPasstState(state, FLOWS_TOLD_MAX);
  const guest =
    seen === undefined
      ? null
      : {
          ip6: addressOf(seen.guest_ip6_high, seen.guest_ip6_low),
          link_local: addressOf(seen.guest_link_local_high, seen.guest_link_local_low),
          ip4: ip4Of(seen.guest_ip4),
          mac: macOf(seen.guest_mac_high, seen.guest_mac_low),
        };
  return {
    passt: {
      version: header?.version ?? null,
      compat_version: header?.compat_version ?? null,
      read_as: version ?? null,
      port_byte_order: bigEndianPorts ? "big" : "little",
      guest,
      flow_count: seen?.flows ?? null,
      flows: flows.map((record) => inspectedFlow(record, bigEndianPorts)),
    },
    problems: findings.map(describeFinding),
  };
}

const TCP_STATES = [
  "dropped",
  "established",
  "syn_sent",
  "syn_recv",
  "fin_wait1",
  "fin_wait2",
  "time_wait",
  "close",
  "close_wait",
  "last_ack",
  "listen",
  "closing",
  "new_syn_recv",
] as const;

function inspectedFlow({ flow, extended }: PasstFlowRecord, swapped: boolean): InspectedFlow {
  const port = (value: number): number => (swapped ? swap16(value) : value);
  const { events, flags, guest_mss, retransmissions, last_duplicate_ack } = flow;
  const { window_scale_from_guest, window_scale_to_guest, window_from_guest } = flow;
  const { window_to_guest, sequence_to_guest, ack_from_guest, sequence_from_guest } = flow;
  const { ack_to_guest, initial_sequence_from_guest } = flow;
  return {
    sides: sidesOf(flow, port),
    tcp_state: extended === undefined ? null : tcpStateName(extended),
    send_queue: extended?.send_queue ?? null,
    not_sent: extended?.not_sent ?? null,
    receive_queue: extended?.receive_queue ?? null,
    retransmissions,
    window_scale_from_guest,
    window_scale_to_guest,
    events,
    flags,
    guest_mss,
    send_buffer: flow.send_buffer * 256, // It is stored without its last eight bits.
    last_duplicate_ack,
    window_from_guest,
    window_to_guest,
    sequence_to_guest,
    ack_from_guest,
    sequence_from_guest,
    ack_to_guest,
    initial_sequence_from_guest,
    socket: extended === undefined ? null : { ...extended },
  };
}

const tcpStateName = ({ tcp_state: state }: PasstExtended): string =>
  TCP_STATES[state] ?? String(state);

const sidesOf = (flow: PasstFlow, port: (value: number) => number): InspectedFlow["sides"] => [
  {
    interface: interfaceOf(flow.interface_0),
    our_address: addressOf(flow.our_address_0_high, flow.our_address_0_low),
    our_port: port(flow.our_port_0),
    endpoint: addressOf(flow.endpoint_0_high, flow.endpoint_0_low),
    endpoint_port: port(flow.endpoint_port_0),
  },
  {
    interface: interfaceOf(flow.interface_1),
    our_address: addressOf(flow.our_address_1_high, flow.our_address_1_low),
    our_port: port(flow.our_port_1),
    endpoint: addressOf(flow.endpoint_1_high, flow.endpoint_1_low),
    endpoint_port: port(flow.endpoint_port_1),
  },
];

const interfaceOf = (value: number): string => INTERFACES[value] ?? String(value);

const swap16 = (value: number): number => (value % 256) * 256 + Math.floor(value / 256);

const ip4Of = (value: number): string =>
  [24, 16, 8, 0].map((bits) => (value >>> bits) & 0xff).join(".");

const macOf = (high: number, low: number): string =>
  (high.toString(16).padStart(4, "0") + low.toString(16).padStart(8, "0")).replace(
    /(..)(?=.)/g,
    "$1:",
  );

const IP4_MAPPED = 0xffffn;

/** As text; an IPv4 address stands in IPv6's (::ffff:a.b.c.d) and is told as such. */
function addressOf(high: bigint, low: bigint): string {
  if (high === 0n && low >> 32n === IP4_MAPPED) {
    const ip4 = ip4Of(Number(low & 0xffff_ffffn));
    if (isIPv4(ip4)) return ip4;
  }
  const words = [high, low].flatMap((half) =>
    [48n, 32n, 16n, 0n].map((bits) => ((half >> bits) & 0xffffn).toString(16)),
  );
  return shortened(words);
}

/** RFC 5952: the first of the longest runs of two zeros or more becomes "::". */
function shortened(words: readonly string[]): string {
  let best = { at: 0, length: 0 };
  for (let at = 0; at < words.length; at++) {
    let length = 0;
    while (words[at + length] === "0") length += 1;
    if (length > best.length) best = { at, length };
  }
  if (best.length < 2) return words.join(":");
  const head = words.slice(0, best.at).join(":");
  return `${head}::${words.slice(best.at + best.length).join(":")}`;
}
