// Makes memory images of streams in memory.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ExtractedMemory,
  extractMemory,
  type MemoryFormat,
} from "../../lib/stream/memory/extract-memory.ts";
import { storedPath } from "./squash-bytes.ts";
import { temporaryFolder } from "./temporary.ts";

export async function memoryOfFile(
  path: string,
  to: string,
  { as, at }: { readonly as: MemoryFormat; readonly at?: number },
): Promise<ExtractedMemory> {
  using input = storedPath(path, {});
  return await extractMemory(input, to, {
    as,
    at,
    format: undefined,
    onProgress: () => undefined,
    onCopied: () => undefined,
  });
}

export interface MemoryImage {
  readonly image: Uint8Array;
  readonly extracted: ExtractedMemory;
}

export async function memoryOf(
  stream: Uint8Array,
  options: { readonly as: MemoryFormat; readonly at?: number },
): Promise<MemoryImage> {
  using folder = temporaryFolder();
  const [path, to] = [join(folder.path, "stream"), join(folder.path, "image")];
  writeFileSync(path, stream);
  const extracted = await memoryOfFile(path, to, options);
  return { image: new Uint8Array(readFileSync(to)), extracted };
}
