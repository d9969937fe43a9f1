// pack: a saved image stored small. One walk over the stream tells where pages stand; everything,
// the bytes behind the end included, is packed in the order it stands.

import { RefusedError } from "../../base/index.ts";
import { describeFinding, type Sink, type Source, StreamError } from "../../bytes/index.ts";
import { statOf } from "../../sys/index.ts";
import type { Format } from "../detect.ts";
import type { StoredInput } from "../input/index.ts";
import { type PfnList, type StreamRecord, type Visitor, walk } from "../walk/index.ts";
import { PAGE_BYTES } from "./layout.ts";
import { Packer } from "./packer.ts";
import type { PackReport } from "./report.ts";

const WORD_BYTES = 4;
const BATCHES: readonly string[] = ["PAGE_DATA", "PAGE_BATCH"];

export interface PackOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  readonly level: number;
  readonly onProgress: (position: number) => void;
}

/** Writes the packed image to `sink`. Throws StreamError, RefusedError and SystemError. */
export async function packStream(
  input: StoredInput,
  sink: Sink,
  options: PackOptions,
): Promise<PackReport> {
  const { format, level, onProgress } = options;
  if (input.isSpooled) await spool(input, options);
  const size = statOf(input.file.number).size;
  using source: Source = input.pass(size);
  using packer = new Packer({ file: input.file, start: input.start, sink, level });
  const visitor = new PackVisitor(packer);
  const end = walk(source, visitor, { format, onProgress });
  if (end.format === undefined && end.stopped !== undefined) throw new StreamError(end.stopped);
  packer.bytesTo(size);
  const originalBytes = packer.finish();
  if (originalBytes < size - input.start) {
    throw new RefusedError(`Cannot pack "${input.name}": the file was cut short meanwhile`);
  }
  return {
    input: input.name,
    output: sink.name,
    is_whole: end.stopped === undefined,
    stopped: end.stopped === undefined ? null : describeFinding(end.stopped),
    original_bytes: originalBytes,
    packed_bytes: sink.position,
    pages: {
      all: packer.counts.pages,
      zero: packer.counts.zero,
      repeated: packer.counts.repeated,
    },
  };
}

/** Reads a pipe to the stream's end. What stopped before it could not be kept whole. */
async function spool(input: StoredInput, { format, onProgress }: PackOptions): Promise<void> {
  const end = walk(input.first, new PackVisitor(undefined), { format, onProgress });
  const damage = await input.keep();
  const stop = end.stopped ?? damage;
  if (stop === undefined) return;
  throw new StreamError(stop);
}

/** Tells a packer where pages stand; every other byte is packed as it is. */
class PackVisitor implements Visitor {
  private readonly packer: Packer | undefined;
  constructor(packer: Packer | undefined) {
    this.packer = packer;
  }
  record({ record }: StreamRecord) {
    return BATCHES.includes(record) ? "head" : "nothing";
  }
  pfns(record: StreamRecord, list: PfnList): void {
    if (list.firstIndex > 0 || this.packer === undefined) return;
    const start = list.fileOffset + list.batchCount * list.wordsPerPfn * WORD_BYTES;
    const bytes = record.bodyOffset + record.bodyBytes - start;
    this.packer.bytesTo(start);
    this.packer.pages(Math.max(0, Math.floor(bytes / PAGE_BYTES)));
  }
  header(): void {}
  body(): void {}
  pages(): void {}
  recordEnd(): void {}
  checkpoint(): void {}
  problem(): void {}
}
