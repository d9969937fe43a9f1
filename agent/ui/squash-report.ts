// What `agent squash` prints for people: what was taken, and what became of it.

import type { SquashReport } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";

export function renderSquashReport(report: SquashReport): string {
  const { pages } = report;
  const lines = [
    `squashed: ${report.input} to ${report.output}: ${whatWasTaken(report)}`,
    `  ${formatCount(pages.sent)} pages sent, ${formatCount(pages.kept)} kept ` +
      `(${formatCount(pages.kept_with_data)} with contents)`,
    `  ${formatBytes(report.input_bytes)} of stream, ${formatBytes(report.output_bytes)} of image`,
  ];
  if (report.dropped_bytes > 0) {
    lines.push(`  left out ${formatBytes(report.dropped_bytes)} behind that checkpoint`);
  }
  if (pages.only_compared > 0) {
    const count = formatCount(pages.only_compared);
    lines.push(`  left out ${count} pages behind a VERIFY record, which are only compared`);
  }
  if (report.optional_records > 0) {
    const count = formatCount(report.optional_records);
    lines.push(`  left out ${count} optional records of a type that nobody knows`);
  }
  return `${lines.join("\n")}\n`;
}

function whatWasTaken({ kind, checkpoint, checkpoints, guest_type: type }: SquashReport): string {
  const guest = `${type.toUpperCase()} guest`;
  if (checkpoint === null) return `${guest}, at the end of the stream`;
  const name = kind === "colo" ? "COLO" : "Remus";
  return `${guest}, at checkpoint ${checkpoint} of ${checkpoints} (${name})`;
}
