// Takes streams in memory apart and puts them together again.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemorySource } from "../../lib/bytes/index.ts";
import { MemorySink } from "../../lib/stream/output/index.ts";

import { extractInto, type ExtractOptions } from "../../lib/stream/image/extract.ts";
import { createNewFolder } from "../../lib/sys/folder.ts";
import { FolderReader } from "../../lib/stream/image/folder-reader.ts";
import { writeStream } from "../../lib/stream/image/line-writer.ts";

export interface TakenApart {
  readonly folder: string;
  /** The parsed lines of records.jsonl. */
  lines(): Record<string, unknown>[];
}

export function takeApart(
  bytes: Uint8Array,
  folder: string,
  options: Partial<ExtractOptions>,
): TakenApart {
  using made = createNewFolder(folder);
  extractInto(made, new MemorySource("built", bytes), {
    format: undefined,
    allowsDamage: false,
    takesRest: true,
    onProgress: () => undefined,
    ...options,
  });
  made.commit();
  return { folder, lines: () => readLines(folder) };
}

export function putTogether(folder: string): Uint8Array {
  const sink = new MemorySink();
  using reader = new FolderReader(folder);
  writeStream(reader, sink, () => undefined);
  return sink.contents;
}

function readLines(folder: string): Record<string, unknown>[] {
  const path = join(folder, "records.jsonl");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Changes the lines of records.jsonl. */
export function editLines(
  folder: string,
  edit: (lines: Record<string, unknown>[]) => Record<string, unknown>[],
): void {
  const lines = edit(readLines(folder)).map((line) => `${JSON.stringify(line)}\n`);
  writeFileSync(join(folder, "records.jsonl"), lines.join(""));
}

/** Where two streams first differ; "equal" where they do not. A message that can be read. */
export function firstDifference(left: Uint8Array, right: Uint8Array): string {
  if (Buffer.compare(left, right) === 0) return "equal";
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return `${left.byteLength} and ${right.byteLength} bytes, different at 0x${at.toString(16)}`;
}
