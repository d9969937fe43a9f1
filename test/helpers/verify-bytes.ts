// Verifies bytes in memory, and says what was found as rows of text.

import { MemorySource } from "../../lib/bytes/index.ts";
import type { Source } from "../../lib/bytes/index.ts";
import type { Format } from "../../lib/stream/detect.ts";
import { verifyStream, type VerifyReport } from "../../lib/stream/verify/index.ts";

export interface VerifyBytesOptions {
  readonly format?: Format;
  readonly limit?: number;
}

export function verifySource(source: Source, options: VerifyBytesOptions): VerifyReport {
  return verifyStream(source, {
    format: options.format,
    compression: undefined,
    limit: options.limit ?? 1000,
    onProgress: () => undefined,
    listener: {},
  });
}

export const verifyBytes = (bytes: Uint8Array, options: VerifyBytesOptions): VerifyReport =>
  verifySource(new MemorySource("built", bytes), options);

/**
 * `error libxc PAGE_DATA.count at 0x38: expected at least 0x1, found 0x0`; a "!" behind "warning"
 * says that Xen's own verifier refuses the stream for it.
 */
export const findingLines = ({ findings }: VerifyReport): string[] =>
  findings.map(({ severity, strict, layer, record, field, offset, expected, found }) => {
    const mark = severity === "warning" && strict ? "!" : "";
    const where = `${layer} ${record}.${field} at 0x${offset.toString(16)}`;
    return `${severity}${mark} ${where}: expected ${expected}, found ${found}`;
  });
