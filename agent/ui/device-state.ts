// A saved device state for people: what it is, its flows as a table, what is wrong with it.

import { plural } from "../../lib/base/index.ts";
import type { DeviceInspect, InspectedFlow } from "../../lib/device/index.ts";
import { hexdump } from "./hexdump.ts";
import { formatBytes, formatCount } from "./numbers.ts";
import { pairs, paragraph, table, type TextStyle } from "./text-layout.ts";

const COLUMNS = [
  { title: "flow", align: "right" },
  { title: "guest side" },
  { title: "outside" },
  { title: "state" },
  { title: "send", align: "right" },
  { title: "unsent", align: "right", drop: 2 },
  { title: "receive", align: "right" },
  { title: "retries", align: "right", drop: 3 },
  { title: "flags", align: "right", drop: 4 },
] as const;

export function deviceStateText(state: DeviceInspect, style: TextStyle): string {
  const { kind, bytes, framing, passt, head, problems } = state;
  const framed =
    framing === null ? "" : `, in ${plural(framing.chunks, "chunk")} of QEMU's framing`;
  const rows: [string, string][] = [
    ["kind", kind === "passt" ? "passt" : "unknown: not passt's, told as bytes"],
    ["size", `${formatBytes(bytes)} (${formatCount(bytes)} bytes)${framed}`],
  ];
  if (passt !== null) rows.push(...passtRows(passt));
  const lines = [...pairs(rows, style)];
  if (passt !== null && passt.flows.length > 0) {
    lines.push("", ...table(COLUMNS, passt.flows.map(flowCells), style));
    const more = (passt.flow_count ?? 0) - passt.flows.length;
    if (more > 0) lines.push(...paragraph(`and ${plural(more, "flow")} more`, style));
  }
  if (head !== null) {
    lines.push("", ...hexdump(Uint8Array.fromHex(head), { offset: 0, digits: 8 }));
  }
  if (problems.length > 0) lines.push("", "Problems:");
  for (const problem of problems) lines.push(...paragraph(problem, style));
  return `${lines.join("\n")}\n`;
}

function passtRows(passt: NonNullable<DeviceInspect["passt"]>): [string, string][] {
  const { version, compat_version: compat, read_as: readAs, guest, flow_count: flows } = passt;
  const rows: [string, string][] = [];
  if (version !== null) {
    const read = readAs === null ? "not known here" : `read as ${readAs}`;
    rows.push(["version", `${version}, readable from ${compat} on; ${read}`]);
  }
  if (guest !== null) {
    rows.push(["guest", `${guest.ip4}, ${guest.ip6}, ${guest.link_local}, MAC ${guest.mac}`]);
  }
  if (flows !== null) rows.push(["flows", formatCount(flows)]);
  return rows;
}

function flowCells(flow: InspectedFlow, index: number): string[] {
  const guest = flow.sides.find((side) => side.interface === "guest") ?? flow.sides[1];
  const other = flow.sides.find((side) => side !== guest) ?? flow.sides[0];
  const queue = (bytes: number | null): string => (bytes === null ? "?" : formatCount(bytes));
  return [
    String(index),
    `${hostPort(guest.endpoint, guest.endpoint_port)}`,
    `${hostPort(other.endpoint, other.endpoint_port)}`,
    flow.tcp_state ?? "cut off",
    queue(flow.send_queue),
    queue(flow.not_sent),
    queue(flow.receive_queue),
    String(flow.retransmissions),
    `0x${flow.flags.toString(16)}`,
  ];
}

const hostPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
