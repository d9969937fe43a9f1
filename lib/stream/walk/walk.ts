// walk(): the one reader of all framings. It knows how formats nest (xl > libxl > libxc and back at
// a checkpoint, xapi > libxc), announces what it meets to a visitor, and says at last how the
// stream ended.

import { plural } from "../../base/index.ts";
import { type Finding, Interrupted, type Source, StreamError } from "../../bytes/index.ts";
import { DETECT_BYTES, describeStranger, detectFormat, type Format } from "../detect.ts";
import { type EndedIn, onTruncation, type StreamKind, type TruncationOutcome } from "../phases.ts";
import { GO_MESSAGE } from "../xl/index.ts";
import { Cursor, EndOfInput, type LegacyHints } from "./cursor.ts";
import { walkLegacy } from "./legacy.ts";
import { Progress, resumeLibxl, walkLibxc, walkLibxl } from "./libxl.ts";
import { markOf, type WalkMark } from "./mark.ts";
import type { Visitor } from "./visitor.ts";
import { walkXapi } from "./xapi.ts";
import { walkXlHeader } from "./xl.ts";

export interface WalkOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  readonly onProgress: (position: number) => void;
  readonly legacy?: LegacyHints;
  /**
   * libxl's records behind each libxc CHECKPOINT are not in this input: somebody else reads them
   * from the same descriptor, or writes them there. So a save helper sees the stream.
   */
  readonly tailsElsewhere?: boolean;
  /** Goes on from there: the source's position is the mark's. */
  readonly from?: WalkMark | undefined;
  /** Told of each place between two records of libxl's or libxc's that a walk can go on from. */
  readonly onSeam?: ((mark: () => WalkMark) => void) | undefined;
}

/** What stands behind a stream's end. It belongs to somebody else: named, never an error. */
export interface Trailing {
  readonly fileOffset: number;
  readonly bytes: number;
  readonly what: string;
}

export interface WalkEnd {
  /** undefined: it is none of ours. */
  readonly format: Format | undefined;
  /** Why the walk could not go on; undefined when it reached the stream's end. */
  readonly stopped: Finding | undefined;
  /** The stop was the end of the input inside of something. */
  readonly isTruncated: boolean;
  /** The source stopped the walk before the end, for reasons outside the stream. */
  readonly isInterrupted: boolean;
  /**
   * What a receiver of this stream would do at its end, for a checkpointed stream that has no END.
   */
  readonly outcome: TruncationOutcome | undefined;
  readonly position: number;
  readonly records: number;
  readonly checkpoints: number;
  readonly lastCheckpointEnd: number | undefined;
  readonly kind: "plain" | "remus" | "colo";
  readonly trailing: Trailing | undefined;
}

/** Walks the whole source. Throws only what is not about the stream itself (SystemError, Bug). */
export function walk(source: Source, visitor: Visitor, options: WalkOptions): WalkEnd {
  const { from, onSeam } = options;
  const progress = new Progress(options.tailsElsewhere ?? false);
  let format = options.format;
  const cursor: Cursor = new Cursor({
    source,
    visitor,
    onProgress: options.onProgress,
    legacy: options.legacy,
    onSeam:
      onSeam === undefined
        ? undefined
        : (seam) => {
            if (format !== "xl" && format !== "libxl" && format !== "libxc") return;
            const known = format;
            onSeam(() => markOf(cursor, progress, { format: known, seam }));
          },
  });
  let stop: StreamError | undefined;
  let isInterrupted = false;
  try {
    if (from === undefined) {
      format ??= detect(cursor);
      walkFormat(cursor, progress, format);
    } else {
      format = from.format;
      goOn(cursor, progress, from);
    }
  } catch (error) {
    if (error instanceof StreamError) stop = error;
    else if (error instanceof Interrupted) isInterrupted = true;
    else throw error;
  }
  const isTruncated = stop instanceof EndOfInput;
  return {
    format,
    stopped: stop?.finding,
    isTruncated,
    isInterrupted,
    outcome: outcomeOf(progress, isTruncated),
    position: cursor.position,
    records: cursor.recordNumber,
    checkpoints: progress.checkpoints,
    lastCheckpointEnd: progress.lastCheckpointEnd,
    kind: progress.isColo ? "colo" : progress.isCheckpointed ? "remus" : "plain",
    // The last one to look: it may read on.
    trailing: stop === undefined && !isInterrupted ? trailingOf(cursor, format) : undefined,
  };
}

function detect(cursor: Cursor): Format {
  const got = cursor.source.peek(DETECT_BYTES);
  const { bytes, at } = cursor.source;
  const first = bytes.subarray(at, at + got);
  const format = detectFormat(first);
  if (format !== undefined) return format;
  throw cursor.fail(cursor.place("input", "start"), {
    field: "format",
    expected: "a guest-state stream (xl, libxl, libxc, xenopsd suspend image or legacy)",
    found: describeStranger(first),
  });
}

function walkFormat(cursor: Cursor, progress: Progress, format: Format): void {
  switch (format) {
    case "xl":
      if (walkXlHeader(cursor) === "legacy") walkLegacy(cursor, { inXl: true });
      else walkLibxl(cursor, progress);
      return;
    case "libxl":
      return walkLibxl(cursor, progress);
    case "libxc":
      walkLibxc(cursor, progress);
      return;
    case "xapi":
      return walkXapi(cursor, progress);
    case "legacy":
      return walkLegacy(cursor, { inXl: false });
  }
}

function goOn(cursor: Cursor, progress: Progress, { format, seam, ...known }: WalkMark): void {
  cursor.recordNumber = known.recordNumber;
  progress.restore(known);
  resumeLibxl(cursor, progress, { seam, hasLibxl: format !== "libxc" });
}

function outcomeOf(progress: Progress, isTruncated: boolean): TruncationOutcome | undefined {
  if (!progress.isCheckpointed || (!isTruncated && !progress.endedAtCheckpoint)) return undefined;
  const inTail = progress.phase === "BUFFERING";
  const endedIn: EndedIn = inTail ? "checkpoint_tail" : progress.layer;
  const kind: StreamKind =
    progress.checkpoints > 0 ? "after_checkpoint" : "before_first_checkpoint";
  return onTruncation(endedIn, kind);
}

/**
 * Reading on from a pipe would take what belongs to the next reader: it is only done where there is
 * none. Behind compressed data stands its checksum too, which then has been looked at.
 */
function trailingOf(cursor: Cursor, format: Format | undefined): Trailing | undefined {
  const { source } = cursor;
  const { position: fileOffset, bytesTotal } = source;
  if (bytesTotal === undefined ? source.isOursToTheEnd !== true : bytesTotal <= fileOffset) {
    return undefined;
  }
  const known = bytesTotal === undefined ? undefined : bytesTotal - fileOffset;
  const got = source.peek(Math.min(known ?? GO_MESSAGE.length, GO_MESSAGE.length));
  const first = source.bytes.slice(source.at, source.at + got);
  const bytes = known ?? cursor.skipToTheEnd();
  if (bytes === 0) return undefined;
  return { fileOffset, bytes, what: describeTrailing(first, { bytes, format }) };
}

function describeTrailing(
  first: Uint8Array,
  { bytes, format }: { readonly bytes: number; readonly format: Format | undefined },
): string {
  const size = plural(bytes, "byte");
  if (String.fromCharCode(...first) === GO_MESSAGE) {
    return `${size}: the sender's go-ahead of xl migrate ("${GO_MESSAGE.slice(0, -1)}")`;
  }
  if (format === "xapi") return `${size}: the rest of the suspend VDI`;
  if (first.every((byte) => byte === 0)) return `${size}, zero at the start`;
  const next = detectFormat(first);
  if (next !== undefined && next !== "legacy")
    return `${size}: the start of another ${next} stream`;
  return `${size} that are not part of the stream, beginning ${first.subarray(0, 16).toHex()}`;
}
