// What `agent pack` and `agent unpack` print for people.

import type { PackReport, UnpackReport } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";

export function renderPackReport(report: PackReport): string {
  const { original_bytes: before, packed_bytes: after, pages } = report;
  const share = before === 0 ? 100 : Math.round((after / before) * 100);
  const sizes = `${formatBytes(before)} in ${formatBytes(after)}, ${share}%`;
  const lines = [
    `packed: ${report.input} to ${report.output}: ${sizes}`,
    `  ${formatCount(pages.all)} pages, ${formatCount(pages.zero)} of them zero, ` +
      `${formatCount(pages.repeated)} stood before`,
  ];
  return `${lines.join("\n")}\n`;
}

export function renderUnpackReport(report: UnpackReport): string {
  const { from, bytes, original_bytes: all } = report;
  const part = bytes === all ? "" : ` of ${formatBytes(all)}, from offset ${from}`;
  return `unpacked: ${report.input} to ${report.output}: ${formatBytes(bytes)}${part}\n`;
}
