// Converts bytes in memory.

import { MemorySource, type Source } from "../../lib/bytes/index.ts";
import { MemorySink } from "../../lib/stream/output/index.ts";
import {
  type ConvertOptions,
  type ConvertReport,
  convertStream,
} from "../../lib/stream/convert/index.ts";

export const CONVERT_DEFAULTS: ConvertOptions = {
  from: undefined,
  to: undefined,
  version: undefined,
  width: undefined,
  guest: undefined,
  skipsQemu: false,
  keepsXlHeader: false,
  onProgress: () => undefined,
  listener: (converter) => converter,
};

export interface Converted {
  readonly bytes: Uint8Array;
  readonly report: ConvertReport;
}

export function convertSource(source: Source, options: Partial<ConvertOptions>): Converted {
  const sink = new MemorySink();
  const report = convertStream(source, sink, { ...CONVERT_DEFAULTS, ...options });
  return { bytes: sink.contents, report };
}

export const convertBytes = (bytes: Uint8Array, options: Partial<ConvertOptions>): Converted =>
  convertSource(new MemorySource("built", bytes), options);
