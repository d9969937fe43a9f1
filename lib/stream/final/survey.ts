// How far a stream counts: the first walk over it, which looks at framing only.
//
// A plain stream counts to its end, and must have one. Of a checkpointed stream counts what stands
// before the CHECKPOINT_END of its last complete checkpoint, or of the one that was asked for:
// failover goes on from there, and libxc drops what it has buffered behind it, also where an END
// follows (handle_checkpoint and restore in tools/libs/guest/xg_sr_restore.c).

import { hex, plural, RefusedError } from "../../base/index.ts";
import { type Source, StreamError } from "../../bytes/index.ts";
import type { Format } from "../detect.ts";
import type { StoredInput } from "../input/index.ts";
import { type Visitor, walk, type WalkEnd } from "../walk/index.ts";

export interface SurveyOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  /** A checkpoint's number, from 1; undefined for the last one. */
  readonly at: number | undefined;
  /** "squash": for messages. */
  readonly verb: string;
  readonly onProgress: (position: number) => void;
}

export interface Survey {
  readonly format: Exclude<Format, "legacy">;
  readonly kind: "plain" | "remus" | "colo";
  /** The checkpoint that counts; undefined for a plain stream. */
  readonly checkpoint: number | undefined;
  /** All complete ones. */
  readonly checkpoints: number;
  /** Offset behind the last byte that counts: of the END, or of the CHECKPOINT_END. */
  readonly endOffset: number;
  /** Bytes of the stream behind that: dropped checkpoints, or part of one. */
  readonly droppedBytes: number;
}

/**
 * The first walk over an input, which is then ready for others. Throws StreamError for a stream
 * that is not whole, RefusedError where it cannot be done.
 */
export async function surveyInput(input: StoredInput, options: SurveyOptions): Promise<Survey> {
  let found: Survey;
  try {
    found = survey(input.first, options);
  } catch (error) {
    // Damage of compressed data is why the stream ended too early, not the other way round.
    const damage = error instanceof StreamError ? await input.keep() : undefined;
    throw damage === undefined ? error : new StreamError(damage, { cause: error });
  }
  const damage = await input.keep();
  if (damage !== undefined) throw new StreamError(damage);
  return found;
}

function survey(source: Source, options: SurveyOptions): Survey {
  const visitor = new Surveyor(options.at);
  const end = walk(source, visitor, options);
  const cannot = `Cannot ${options.verb} "${source.name}"`;
  if (visitor.isLegacy) {
    const advice = "agent convert makes a current one of it";
    throw new RefusedError(`${cannot}: it is a legacy stream; ${advice}`);
  }
  const { stopped, format } = end;
  if (format === undefined || format === "legacy" || (end.kind === "plain" && stopped)) {
    if (stopped !== undefined) throw new StreamError(stopped);
    throw new RefusedError(`${cannot}: it is a legacy stream`); // One without a single record.
  }
  if (!visitor.hasImage) throw noImage(end);
  if (end.kind === "plain") {
    if (options.at !== undefined) throw new RefusedError(`${cannot}: it has no checkpoints`);
    const { position: endOffset, kind } = end;
    return { format, kind, checkpoint: undefined, checkpoints: 0, endOffset, droppedBytes: 0 };
  }
  if (format === "xapi") {
    throw new RefusedError(`${cannot}: xenopsd knows no checkpoints in a suspend image`);
  }
  const { kind, checkpoints } = end;
  const endOffset = endOf(end, { cannot, wanted: options.at, found: visitor.endOffset });
  const checkpoint = options.at ?? checkpoints;
  const droppedBytes = end.position - endOffset;
  return { format, kind, checkpoint, checkpoints, endOffset, droppedBytes };
}

/** A libxl stream or a suspend image may end before anything of a guest has come. */
const noImage = ({ position, records }: WalkEnd): StreamError =>
  new StreamError({
    layer: "libxc",
    record: "image_header",
    recordNumber: records,
    fileOffset: position,
    severity: "error",
    strict: true,
    field: "header",
    expected: "a libxc image",
    found: "the end of the stream",
  });

function endOf(
  { checkpoints, stopped, isTruncated, lastCheckpointEnd }: WalkEnd,
  request: {
    readonly cannot: string;
    readonly wanted: number | undefined;
    readonly found: number | undefined;
  },
): number {
  const { cannot, wanted, found } = request;
  if (wanted !== undefined && found === undefined) {
    const complete = plural(checkpoints, "complete checkpoint");
    throw new RefusedError(`${cannot} at checkpoint ${wanted}: it has ${complete}`);
  }
  if (found !== undefined) return found;
  if (lastCheckpointEnd === undefined) {
    if (stopped !== undefined) throw new StreamError(stopped);
    throw new RefusedError(`${cannot}: it ends before its first checkpoint is complete`);
  }
  if (stopped !== undefined && !isTruncated) {
    const { layer, record, fileOffset } = stopped;
    const where = `${layer} ${record} at offset ${hex(fileOffset)} is damaged`;
    const advice = `--at ${checkpoints} takes the last checkpoint before it`;
    throw new RefusedError(`${cannot}: ${where}; ${advice}`);
  }
  return lastCheckpointEnd;
}

class Surveyor implements Visitor {
  isLegacy = false;
  hasImage = false;
  /** Behind the checkpoint that was asked for. */
  endOffset: number | undefined;
  private readonly at: number | undefined;

  constructor(at: number | undefined) {
    this.at = at;
  }

  header({ layer, record }: Parameters<Visitor["header"]>[0]): void {
    if (layer === "legacy") this.isLegacy = true;
    if (record === "domain_header") this.hasImage = true;
  }
  record({ layer }: Parameters<Visitor["record"]>[0]): "nothing" {
    if (layer === "legacy") this.isLegacy = true;
    return "nothing";
  }
  body(): void {}
  pfns(): void {}
  pages(): void {}
  recordEnd(): void {}
  checkpoint({ number, endOffset }: Parameters<Visitor["checkpoint"]>[0]): void {
    if (number === this.at) this.endOffset = endOffset;
  }
  problem(): void {} // The walks that read what counts throw it.
}
