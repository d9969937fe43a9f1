// A guest's memory as a file: a sparse raw image, where an offset is a physical address, or an ELF
// core. It appears whole or not at all.

import { hex, RefusedError, SystemError } from "../../base/index.ts";
import { createNewFile, type Fd, resizeFile } from "../../sys/index.ts";
import type { StoredInput } from "../input/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import { type ElfCore, writeElfCore } from "./elf-core.ts";
import { type GuestMemory, type MemoryOptions, readGuestMemory } from "./guest-memory.ts";
import { copyPages } from "./page-copier.ts";

export const MEMORY_FORMATS = ["raw", "elf"] as const;
export type MemoryFormat = (typeof MEMORY_FORMATS)[number];

export interface ExtractMemoryOptions extends MemoryOptions {
  readonly as: MemoryFormat;
  /** Called as pages are copied, with the bytes so far. */
  readonly onCopied: (bytes: number) => void;
}

export interface ExtractedMemory {
  readonly memory: GuestMemory;
  /** Those that are not zeros. */
  readonly pagesWritten: number;
  readonly elf: ElfCore | undefined;
}

/** Throws StreamError, SystemError and RefusedError. */
export async function extractMemory(
  input: StoredInput,
  path: string,
  options: ExtractMemoryOptions,
): Promise<ExtractedMemory> {
  if (path === "-" || /^[0-9]+$/.test(path)) {
    throw new RefusedError("Cannot write a memory image to a pipe: it has holes, name a file");
  }
  using file = createNewFile({ path, existing: "replace", inputs: input.identities });
  const memory = await readGuestMemory(input, options);
  const { places } = memory;
  if (places.count === 0) {
    throw new RefusedError(`Cannot extract the memory of "${input.name}": it has no page contents`);
  }
  const [source, target] = [input.file, file.fd];
  let extracted: ExtractedMemory;
  if (options.as === "elf") {
    const elf = writeElfCore(memory, {
      source,
      target,
      onProgress: (pages) => options.onCopied(pages * PAGE_BYTES),
    });
    extracted = { memory, pagesWritten: elf.pagesWritten, elf };
  } else {
    reach(target, (places.pfnLast + 1) * PAGE_BYTES);
    const targetOffset = (_: number, pfn: number) => pfn * PAGE_BYTES;
    const pagesWritten = copyPages({
      source,
      target,
      places,
      targetOffset,
      onProgress: (pages) => options.onCopied(pages * PAGE_BYTES),
    });
    extracted = { memory, pagesWritten, elf: undefined };
  }
  file.commit();
  return extracted;
}

/** Makes the file as long as the memory reaches. */
function reach(target: Fd, bytes: number): void {
  try {
    resizeFile(target, bytes);
  } catch (error) {
    const isTooLong =
      error instanceof SystemError && ["EFBIG", "EINVAL"].includes(error.failure.code);
    if (!isTooLong) throw error;
    const advice = "a core (--as elf) has no such holes";
    throw new RefusedError(
      `Cannot write "${target.name}": its memory reaches up to ${hex(bytes)}, ${advice}`,
      { cause: error },
    );
  }
}
