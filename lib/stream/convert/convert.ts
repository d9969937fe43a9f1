// Converting a stream: a legacy one (before Xen 4.6) to version 2 or 3, or version 3 to version 2.
// Which of the two, the first bytes say. Memory stays bounded whatever the stream claims.

import { assert, UsageError } from "../../base/index.ts";
import {
  PEEK_BYTES_MAX,
  read,
  type Sink,
  sizeOf,
  type Source,
  StreamError,
} from "../../bytes/index.ts";
import { detectFormat, type Format } from "../detect.ts";
import { type Visitor, walk, type WalkEnd } from "../walk/index.ts";
import { Rewriter } from "../write/index.ts";
import { SAVE_HEADER, SAVE_MAGIC, STREAM_V2_MASK } from "../xl/index.ts";
import { LegacyConverter } from "./legacy.ts";
import { OlderVersion } from "./older-version.ts";
import type { ConvertReport } from "./report.ts";

export interface ConvertOptions {
  /** The input's framing; undefined: found by the first bytes. */
  readonly from: "xl" | "legacy" | undefined;
  /** The output's; undefined: libxl, and for what is not legacy the input's. */
  readonly to: "libxl" | "libxc" | undefined;
  /** Of the libxc image that is written; undefined: the newest, 3. */
  readonly version: 2 | 3 | undefined;
  /** What the caller knows of a legacy stream. Where the first bytes disagree it is an error. */
  readonly width: 4 | 8 | undefined;
  readonly guest: "pv" | "hvm" | undefined;
  /** To libxc: leaves the QEMU record, every byte of it, to the next reader of the input. */
  readonly skipsQemu: boolean;
  /** To libxc: an xl header is passed on all the same, as Xen's converter means to. */
  readonly keepsXlHeader: boolean;
  readonly onProgress: (position: number) => void;
  /** Told of what is read, for a listing. */
  readonly listener: (converter: Visitor) => Visitor;
}

const START_BYTES = SAVE_MAGIC.byteLength + sizeOf(SAVE_HEADER);
assert(START_BYTES <= PEEK_BYTES_MAX, "an xl header can be looked at before it is read");

/**
 * Writes the converted stream to `sink`. Throws StreamError, RefusedError, UsageError and
 * SystemError; what the sink has been given until then is worth nothing.
 */
export function convertStream(source: Source, sink: Sink, options: ConvertOptions): ConvertReport {
  const { format, isLegacy } = startOf(source, options);
  return isLegacy
    ? convertLegacy({ source, sink, format }, options)
    : convertOlder({ source, sink, format }, options);
}

interface Job {
  readonly source: Source;
  readonly sink: Sink;
  /** undefined: it is none of ours, which the walk words. */
  readonly format: Format | undefined;
}

/** The outermost framing, and whether a legacy stream is what it holds. */
function startOf(
  source: Source,
  { from }: ConvertOptions,
): { readonly format: Format | undefined; readonly isLegacy: boolean } {
  if (from !== undefined) return { format: from, isLegacy: true };
  const got = source.peek(START_BYTES);
  const { bytes, view, at } = source;
  const format = detectFormat(bytes.subarray(at, at + got));
  if (format !== "xl" || got < START_BYTES) return { format, isLegacy: format === "legacy" };
  const { mandatory_flags: flags } = read(SAVE_HEADER, view, at + SAVE_MAGIC.byteLength);
  return { format, isLegacy: (flags & STREAM_V2_MASK) === 0 };
}

function convertLegacy({ source, sink, format }: Job, options: ConvertOptions): ConvertReport {
  const { width, guest, skipsQemu, onProgress } = options;
  const to = options.to ?? "libxl";
  const version = options.version ?? 3;
  const keepsXlHeader = to === "libxl" || options.keepsXlHeader;
  const converter = new LegacyConverter(sink, { format: to, version, keepsXlHeader });
  const legacy = { width, guest, stopsBeforeQemu: skipsQemu && to === "libxc" };
  const start = source.position;
  const visitor = options.listener(converter);
  const end = whole(walk(source, visitor, { format, onProgress, legacy }));
  converter.finish({
    layer: "legacy",
    record: "QEMU",
    recordNumber: end.records,
    fileOffset: end.position,
  });
  const { guest: known, memory, tail } = converter;
  assert(known, "a stream that was read to its end has told what guest it holds");
  assert(memory, "a stream that was read to its end has told how large its guest is");
  const { sent, withData, dropped } = memory;
  return {
    input: source.name,
    output: sink.name,
    input_format: format ?? "legacy",
    was_legacy: true,
    output_format: format === "xl" && keepsXlHeader ? "xl" : to,
    libxc_version: version,
    toolstack_width: known.width === 8 ? 64 : 32,
    guest: known.guestWidth > 0 ? "pv" : "hvm",
    guest_width: known.guestWidth === 0 ? null : known.guestWidth === 8 ? 64 : 32,
    bytes_in: end.position - start,
    bytes_out: sink.position,
    pages: { sent, with_data: withData, unmapped: dropped },
    qemu: tail.qemu ?? null,
    trailing: trailingOf(end),
  };
}

function convertOlder({ source, sink, format }: Job, options: ConvertOptions): ConvertReport {
  if (format !== undefined) checkOlder(source.name, format, options);
  const edit = new OlderVersion(source.name);
  const start = source.position;
  const visitor = options.listener(new Rewriter(sink, edit));
  const end = whole(walk(source, visitor, { format, onProgress: options.onProgress }));
  assert(end.format, "a stream that was read to its end is of some format");
  return {
    input: source.name,
    output: sink.name,
    input_format: end.format,
    was_legacy: false,
    output_format: end.format,
    libxc_version: 2,
    toolstack_width: null,
    guest: edit.guest ?? null,
    guest_width: null,
    bytes_in: end.position - start,
    bytes_out: sink.position,
    pages: null,
    qemu: null,
    trailing: trailingOf(end),
  };
}

/** What is asked for must be what can be done with a stream that is not legacy. */
function checkOlder(name: string, format: Format, options: ConvertOptions): void {
  const { to, version, width, guest } = options;
  const isWrapped = format === "xl";
  const legacyOnly = width !== undefined ? "--width" : guest !== undefined ? "--guest" : undefined;
  if (legacyOnly !== undefined) {
    throw new UsageError(
      `Cannot convert "${name}": ${legacyOnly} is for legacy streams, found ${FOUND[format]}`,
    );
  }
  if (to !== undefined && !(to === "libxl" && isWrapped) && to !== format) {
    throw new UsageError(
      `Cannot convert "${name}" to a ${to} stream: only legacy streams change their framing, ` +
        `found ${FOUND[format]}`,
    );
  }
  if (version === 2) return;
  throw new UsageError(
    `Cannot convert "${name}": it is not a legacy stream but ${FOUND[format]}; ` +
      "--libxc-version 2 makes one for an older receiver of it",
  );
}

const FOUND: Readonly<Record<Format, string>> = {
  xl: "an xl save file with a libxl stream",
  libxl: "a libxl stream",
  libxc: "a libxc stream",
  xapi: "a suspend image",
  legacy: "a legacy stream",
};

/** Throws what the walk stopped at. */
function whole(end: WalkEnd): WalkEnd {
  if (end.stopped !== undefined) throw new StreamError(end.stopped);
  return end;
}

const trailingOf = ({ trailing }: WalkEnd): ConvertReport["trailing"] =>
  trailing === undefined
    ? null
    : { offset: trailing.fileOffset, bytes: trailing.bytes, what: trailing.what };
