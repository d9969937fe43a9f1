// What agent device save, load, copy and swap have done, in a few lines.

import { plural } from "../../lib/base/index.ts";
import type {
  DeviceTransfer,
  ProxyEvent,
  ProxyStatus,
  SwapReport,
} from "../../lib/device/index.ts";
import { formatBytes } from "./numbers.ts";
import { pairs, type TextStyle } from "./text-layout.ts";

export function transferText(report: DeviceTransfer): string {
  const { source, target, bytes, kind, flows, flows_after: after } = report;
  const what = kind === "passt" ? `${plural(flows ?? 0, "TCP connection")} of passt` : "opaque";
  const lines = [`${source} -> ${target}: ${formatBytes(bytes ?? 0)}, ${what}`];
  if (after !== null && flows !== null && after < flows) {
    lines.push(`only ${after} of ${plural(flows, "TCP connection")} live on in the target`);
  }
  return `${lines.join("\n")}\n`;
}

export function swapText({ result, from, to, problems, states, ...report }: SwapReport): string {
  const lines = problems.map((problem) => `problem: ${problem}`);
  if (result === "done") {
    const { flows, flows_after: after, paused_ms: paused } = report;
    const moved = flows === null ? "" : `, ${plural(flows, "TCP connection")}`;
    const size = formatBytes(report.state_bytes);
    lines.push(`${from} -> ${to}: ${size}${moved}; the rings stood ${paused.toFixed(1)} ms`);
    if (flows !== null && after !== null && after < flows) {
      lines.push(`only ${after} of ${plural(flows, "TCP connection")} live on`);
    }
  } else {
    lines.push(...states);
    lines.push(
      report.has_back_end ? `The guest is served by ${to}` : "No back end serves the guest",
    );
  }
  return `${lines.join("\n")}\n`;
}

export function proxyLine(event: ProxyEvent): string {
  switch (event.kind) {
    case "attached":
      return `a guest's front end has attached (process ${event.pid ?? "unknown"})`;
    case "detached":
      return event.reason === "" ? "the guest has gone" : `the guest is cut off: ${event.reason}`;
    case "turned_away":
      return `a front end was turned away: ${event.reason}`;
    case "swapped":
      return `swap ${event.report.result}: ${event.report.from} -> ${event.report.to}`;
  }
}

/** A proxy that another binary goes on with, or could. */
export function updateText({ generation, pauseMs }: Updated): string {
  if (pauseMs === null) return "The new program can go on with this proxy\n";
  return `Generation ${generation} serves; the pause was ${pauseMs.toFixed(1)} ms\n`;
}

interface Updated {
  readonly generation: number;
  readonly pauseMs: number | null;
}

export function statusText(status: ProxyStatus, style: TextStyle): string {
  const rows: [string, string][] = [
    ["guest", status.attached ? `attached to ${status.listen}` : `none at ${status.listen}`],
    ["back end", `${status.backend}${status.pid === null ? "" : `, process ${status.pid}`}`],
    ["features", `${status.features}, masked ${status.masked}`],
    ["rings", `${status.rings} going, ${plural(status.messages, "message")} passed`],
  ];
  if (status.tcp_connections !== null) {
    rows.push(["TCP connections", String(status.tcp_connections)]);
  }
  if (status.unrepeatable.length > 0) rows.push(["cannot swap", status.unrepeatable.join(", ")]);
  return `${pairs(rows, style).join("\n")}\n`;
}
