// One thing that is wrong with a stream. Data first; the wording is derived, once, here.

import { hex } from "../base/index.ts";

/** error: a reader (libxl, libxc, Xen, QEMU) would refuse it. warning: accepted, but suspicious. */
export type Severity = "error" | "warning";

/** The framing that a record belongs to, outermost first. */
export type Layer =
  | "input"
  | "xl"
  | "xapi"
  | "libxl"
  | "libxc"
  | "legacy"
  | "hvm_context"
  | "qemu"
  | "manifest"
  | "pack"
  | "passt"
  | "qcow2"
  | "checkpoint"
  | "xenstore";

/** Where a header or record stands. Offsets are absolute in the input. */
export interface Place {
  readonly layer: Layer;
  /** The name its specification gives it, such as "PAGE_DATA" or "image_header". */
  readonly record: string;
  /**
   * Records of all layers counted from 1 in the order they stand; headers carry the count so far.
   */
  readonly recordNumber: number;
  readonly fileOffset: number;
}

export interface Finding extends Place {
  readonly severity: Severity;
  /** An error, or a warning that Xen's own verifier, verify-stream-v2, refuses a stream for. */
  readonly strict: boolean;
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

/** `libxc PAGE_DATA.count at offset 0x38 (record 7): expected at least 1, found 0` */
export function describeFinding(finding: Finding): string {
  const { layer, record, recordNumber, field, fileOffset, expected, found } = finding;
  const number = recordNumber > 0 ? ` (record ${recordNumber})` : "";
  const where = `${layer} ${record}.${field} at offset ${hex(fileOffset)}${number}`;
  return `${where}: expected ${expected}, found ${found}`;
}

/** A stream that cannot be read any further, or a value that a reader must refuse. */
export class StreamError extends Error {
  override readonly name = "StreamError"; // A literal: minifying renames the class itself.
  readonly finding: Finding;
  /** `input`: its name, where several are read and a message must say which. */
  constructor(finding: Finding, options?: ErrorOptions & { readonly input?: string }) {
    const said = describeFinding(finding);
    super(options?.input === undefined ? said : `Cannot read "${options.input}": ${said}`, options);
    this.finding = finding;
  }
}
