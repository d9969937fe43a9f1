// What `agent extract` and `agent assemble` print for people.

import type { Assembled, Extracted, ExtractedMemory } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";

/** "1 page", "12,238 pages" */
const counted = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;

export function renderExtracted(
  { end, pages, isComplete }: Extracted,
  { input, to }: { readonly input: string; readonly to: string },
): string {
  const lines = [
    `extracted: ${input} to ${to}: ${counted(end.records, "record")}, ` + counted(pages, "page"),
    `  records.jsonl has every record in order; edit a part, then agent assemble`,
  ];
  if (!isComplete) lines.push("  it is cut short or damaged: manifest.json says where");
  return `${lines.join("\n")}\n`;
}

export function renderMemory(
  { memory, pagesWritten, elf }: ExtractedMemory,
  { input, to }: { readonly input: string; readonly to: string },
): string {
  const { type, places, vcpus, checkpoint } = memory;
  const at = checkpoint === undefined ? "" : `, at checkpoint ${checkpoint}`;
  const form = elf === undefined ? "raw image" : `ELF core of ${elf.bits} bits`;
  const zeros = places.count - pagesWritten;
  const lines = [
    `extracted: ${input} to ${to}: ${form}, ${type.toUpperCase()} guest${at}`,
    `  ${counted(places.count, "page")}, ${formatCount(zeros)} of them zeros (holes in the file)`,
  ];
  if (elf !== undefined) lines.push(...elfLines(elf, vcpus.length));
  return `${lines.join("\n")}\n`;
}

function elfLines(elf: NonNullable<ExtractedMemory["elf"]>, vcpus: number): string[] {
  const kernel = elf.hasAllKernel ? "the kernel's addresses" : "a part of the kernel's addresses";
  const note = elf.hasKernelNote ? ", and the kernel's own note (VMCOREINFO)" : "";
  const registers = `registers of ${counted(vcpus, "vcpu")}`;
  const addresses = `${kernel} in ${counted(elf.kernelSegments, "segment")}`;
  return [`  ${registers}, ${addresses}${note}`, "  lower addresses are physical ones"];
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
  else lines.push(`  verified: ${counted(report.records, "record")}`);
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
