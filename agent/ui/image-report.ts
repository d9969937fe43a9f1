// What `agent extract` and `agent assemble` print for people.

import type { Assembled, Extracted } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";

export function renderExtracted(
  { end, pages, isComplete }: Extracted,
  { input, to }: { readonly input: string; readonly to: string },
): string {
  const lines = [
    `extracted: ${input} to ${to}: ${formatCount(end.records)} records, ` +
      `${formatCount(pages)} pages`,
    `  records.jsonl has every record in order; edit a part, then agent assemble`,
  ];
  if (!isComplete) lines.push("  it is cut short or damaged: manifest.json says where");
  return `${lines.join("\n")}\n`;
}

export function renderAssembled({
  folder,
  to,
  bytes,
  report,
}: Assembled & { readonly folder: string; readonly to: string }): string {
  const lines = [`assembled: ${folder} to ${to}: ${formatBytes(bytes)}`];
  if (report === undefined) lines.push("  it was not verified: it did not go to a file");
  else if (report.verdict !== "good") lines.push("  it is not a valid stream");
  else lines.push(`  verified: ${formatCount(report.records)} records`);
  return `${lines.join("\n")}\n`;
}

export function renderNotValid(folder: string, { report }: Assembled): string {
  const lines = [
    `Cannot assemble "${folder}": the stream would not be valid (--damaged writes it)`,
  ];
  for (const finding of report?.findings ?? []) {
    if (finding.severity !== "error") continue;
    const { layer, record, field, offset, expected, found } = finding;
    const where = `${layer} ${record}.${field} at offset 0x${offset.toString(16)}`;
    lines.push(`  ${where}: expected ${expected}, found ${found}`);
  }
  return lines.join("\n");
}
