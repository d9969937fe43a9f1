// What `agent convert` prints for people: what it was, what it is now, and what was left out.

import { hex } from "../../lib/base/index.ts";
import type { ConvertReport } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";

export function renderConvertReport(report: ConvertReport): string {
  const { pages, trailing } = report;
  const lines = [
    `converted: ${report.input} to ${report.output}: ${whatItWas(report)} to ${whatItIs(report)}`,
    `  ${formatBytes(report.bytes_in)} read, ${formatBytes(report.bytes_out)} written`,
  ];
  if (pages !== null) {
    const contents = `${formatCount(pages.with_data)} with contents`;
    const unmapped = `${formatCount(pages.unmapped)} unmapped entries left out`;
    lines.push(`  ${formatCount(pages.sent)} pages (${contents}), ${unmapped}`);
  }
  if (trailing !== null) {
    lines.push(`  behind the end at ${hex(trailing.offset)}, not converted: ${trailing.what}`);
  }
  return `${lines.join("\n")}\n`;
}

function whatItWas({ was_legacy, toolstack_width: width, guest, input_format }: ConvertReport) {
  const type = guest === null ? "" : ` of ${guest === "pv" ? "a PV" : "an HVM"} guest`;
  if (!was_legacy) return `version 3 of a ${input_format} stream${type}`;
  const framing = input_format === "xl" ? "legacy xl save file" : "legacy stream";
  return `${framing}${type} by a ${width}-bit toolstack`;
}

const whatItIs = ({ output_format: format, libxc_version: version }: ConvertReport): string =>
  `${format === "xl" ? "an xl save file" : `a ${format} stream`}, libxc version ${version}`;
