// squash: a live or checkpointed stream as the plain image of its end, which any restore takes.
// Three walks over the input: how far it counts, which entry of each pfn and which state records
// are the last ones (4 bytes a pfn), and writing.

import { assert, RefusedError } from "../../base/index.ts";
import type { Sink } from "../../bytes/index.ts";
import type { Format } from "../detect.ts";
import { Chooser, indexOrdinal, passOver, type Survey, surveyInput } from "../final/index.ts";
import type { StoredInput } from "../input/index.ts";
import { DOMAIN_PV } from "../libxc/index.ts";
import { PageIndex } from "../page-index.ts";
import { ImageWriter } from "./image-writer.ts";
import type { SquashReport } from "./report.ts";

export interface SquashOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  /** The checkpoint to take, from 1; undefined for the last complete one. */
  readonly at: number | undefined;
  /** Told of the walk that reads the input first, where it is spooled. */
  readonly onSpooled: (position: number) => void;
  /** Told of the walk that writes, with offsets of the input. */
  readonly onWritten: (position: number) => void;
}

const SILENT = () => undefined;

/** Writes the image to `sink`. Throws StreamError, RefusedError and SystemError. */
export async function squashStream(
  input: StoredInput,
  sink: Sink,
  options: SquashOptions,
): Promise<SquashReport> {
  const onProgress = input.isSpooled ? options.onSpooled : SILENT;
  const found = await surveyInput(input, { ...options, verb: "squash", onProgress });
  const cannot = `Cannot squash "${input.name}"`;
  const index = new PageIndex("u32");
  const chooser = new Chooser((entry) => indexOrdinal(index, entry, cannot));
  passOver(input, found, { visitor: chooser, onProgress: SILENT });
  const isCheckpointed = found.checkpoint !== undefined;
  if (isCheckpointed && found.format === "libxc" && chooser.tailRecords > 0) {
    const why = "a bare libxc image has no room for the state of the device model";
    throw new RefusedError(`${cannot}: ${why}`);
  }
  const endsLibxl = isCheckpointed && found.format !== "libxc";
  const { onWritten } = options;
  const writer = new ImageWriter({
    input,
    sink,
    chooser,
    index,
    endsLibxl,
    onProgress: onWritten,
  });
  passOver(input, found, { visitor: writer, onProgress: SILENT });
  writer.finish(found.endOffset);
  return reportOf(found, { input, sink, chooser, writer });
}

interface Done {
  readonly input: StoredInput;
  readonly sink: Sink;
  readonly chooser: Chooser;
  readonly writer: ImageWriter;
}

function reportOf(found: Survey, { input, sink, chooser, writer }: Done): SquashReport {
  const { image, reader } = chooser;
  assert(image, "a stream that was walked to its end has an image");
  return {
    input: input.name,
    output: sink.name,
    format: found.format,
    compression: input.compression ?? null,
    kind: found.kind,
    guest_type: image.domainType === DOMAIN_PV ? "pv" : "hvm",
    libxc_version: image.version,
    checkpoint: found.checkpoint ?? null,
    checkpoints: found.checkpoints,
    end_offset: found.endOffset,
    dropped_bytes: found.droppedBytes,
    pages: {
      sent: reader.ordinal,
      sent_with_data: reader.withData,
      kept: writer.pagesKept,
      kept_with_data: writer.pagesWithData,
      only_compared: reader.ignored,
    },
    optional_records: chooser.optionalRecords,
    input_bytes: found.endOffset - input.start,
    output_bytes: sink.position,
  };
}
