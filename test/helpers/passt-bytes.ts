// States of passt, built from the layout tables for tests.

import { type Layout, type Row, sizeOf, write } from "../../lib/bytes/index.ts";
import {
  EXTENDED_1,
  EXTENDED_2,
  FLOW,
  HEADER,
  MAGIC,
  SEEN,
} from "../../lib/device/passt-layout.ts";

export interface FlowPlan {
  readonly sendQueue: Uint8Array;
  readonly receiveQueue: Uint8Array;
  readonly tcpState: number;
}

export interface StatePlan {
  readonly version: number;
  readonly compat: number;
  readonly flows: readonly FlowPlan[];
}

const row = <L extends Layout>(layout: L, known: Partial<Row<L>>): Uint8Array => {
  const all = Object.fromEntries(
    Object.entries(layout).map(([name, { bytes }]) => [name, bytes === 8 ? 0n : 0]),
  );
  const out = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(out.buffer), 0, { ...all, ...known } as Row<L>);
  return out;
};

/** 203.0.113.7 as IPv6 has it. */
const MAPPED = 0xffff_cb00_7107n;

export function passtBytes({ version, compat, flows }: StatePlan): Uint8Array {
  const parts: Uint8Array[] = [
    row(HEADER, { magic: MAGIC, version, compat_version: compat }),
    row(SEEN, { guest_ip4: 0xa9fe_0201, guest_mac_high: 0x5254, flows: flows.length }),
  ];
  for (const [index] of flows.entries()) {
    parts.push(
      row(FLOW, {
        interface_0: 1,
        interface_1: 2,
        endpoint_0_low: MAPPED,
        endpoint_port_0: 9000,
        our_port_0: 40000 + index,
        endpoint_port_1: 50000 + index,
        events: 4,
        send_buffer: 16,
      }),
    );
  }
  for (const { sendQueue, receiveQueue, tcpState } of flows) {
    const known = {
      send_queue: sendQueue.length,
      receive_queue: receiveQueue.length,
      tcp_state: tcpState,
    };
    parts.push(version === 1 ? row(EXTENDED_1, known) : row(EXTENDED_2, known));
    if (tcpState !== 0) parts.push(sendQueue, receiveQueue);
  }
  return new Uint8Array(Buffer.concat(parts));
}

export const idleFlow: FlowPlan = {
  sendQueue: new Uint8Array(0),
  receiveQueue: new Uint8Array(0),
  tcpState: 1,
};
