// Walking a libxl stream, and the checkpoint dance between it and libxc. Which phase a libxl record
// stands in, and whether it may, is asked of phases.ts.
//
//   header, LIBXC_CONTEXT, [libxc ... END], emulator records, END                        plain
//   header, LIBXC_CONTEXT, [libxc ... CHECKPOINT], emulator records, CHECKPOINT_END,     Remus
//           [libxc records ... CHECKPOINT], emulator records, CHECKPOINT_END, ...
//   as Remus, and CHECKPOINT_STATE(NEW) before the next run of libxc records             COLO

import { assert, hex } from "../../base/index.ts";
import { offsetOf, read, sizeOf } from "../../bytes/index.ts";
import {
  BIG_ENDIAN_MASK,
  CHECKPOINT_STATE_BYTES,
  LIBXL,
  LIBXL_HEADER,
  LIBXL_RECORD_BYTES_MAX,
  libxlRecordOf,
  RECORD_HEADER,
} from "../libxl/index.ts";
import { nextPhase, type Phase, type PhaseEvent, refusalOf } from "../phases.ts";
import type { Cursor, Seam } from "./cursor.ts";
import { walkLibxcHeaders, walkLibxcRecords } from "./libxc.ts";
import type { StreamRecord } from "./visitor.ts";

const RECORD_HEADER_BYTES = sizeOf(RECORD_HEADER);

const ROUND_START: Seam = { within: "libxc", count: 0 };

/** What a walk that goes on knows of how far the stream got. */
export interface ProgressMark {
  readonly phase: Phase;
  readonly layer: Progress["layer"];
  readonly checkpoints: number;
  readonly lastCheckpointEnd: number | null;
  readonly isCheckpointed: boolean;
  readonly isColo: boolean;
}

/**
 * How far a stream got: kept up to date while it is walked, so that it is right whenever it ends.
 */
export class Progress {
  phase: Phase = "NORMAL";
  /** Whose bytes the walk is in. */
  layer: "libxl" | "libxc" = "libxl";
  /** Complete checkpoints, and the offset behind the last one's CHECKPOINT_END. */
  checkpoints = 0;
  lastCheckpointEnd: number | undefined;
  /** A libxc CHECKPOINT or a libxl checkpoint record was met. */
  isCheckpointed = false;
  isColo = false;
  /** The input ended just behind a CHECKPOINT_END: a Remus stream never has an END. */
  endedAtCheckpoint = false;
  /** Whether libxl's records behind a libxc CHECKPOINT are not in this input. */
  readonly tailsElsewhere: boolean;

  constructor(tailsElsewhere: boolean) {
    this.tailsElsewhere = tailsElsewhere;
  }

  /** As another walk had it. */
  restore(known: ProgressMark): void {
    this.phase = known.phase;
    this.layer = known.layer;
    this.checkpoints = known.checkpoints;
    this.lastCheckpointEnd = known.lastCheckpointEnd ?? undefined;
    this.isCheckpointed = known.isCheckpointed;
    this.isColo = known.isColo;
  }

  step(event: PhaseEvent): void {
    const next = nextPhase(this.phase, event);
    assert(next, `phases: ${event} can happen in ${this.phase}`);
    this.phase = next.phase;
  }
}

/** The libxl header, then records to the stream's end. */
export function walkLibxl(cursor: Cursor, progress: Progress): void {
  const place = cursor.place("libxl", "header");
  const header = cursor.header(LIBXL_HEADER, place);
  const { options } = read(LIBXL_HEADER, header.view, header.at);
  if ((options & BIG_ENDIAN_MASK) !== 0) {
    throw cursor.fail(place, {
      field: "options",
      fileOffset: place.fileOffset + offsetOf(LIBXL_HEADER, "options"),
      expected: "bit 0 clear (little-endian)",
      found: `${hex(options)}: written on a big-endian host`,
    });
  }
  walkLibxlRecords(cursor, progress, 0);
}

/** From a seam on, as far as the stream goes. `hasLibxl`: libxl's records are around libxc's. */
export function resumeLibxl(
  cursor: Cursor,
  progress: Progress,
  { seam, hasLibxl }: { readonly seam: Seam; readonly hasLibxl: boolean },
): void {
  if (seam.within !== "libxl" && walkRounds(cursor, progress, seam) === "remus ended") return;
  if (hasLibxl) walkLibxlRecords(cursor, progress, seam.within === "libxl" ? seam.count : 1);
}

function walkLibxlRecords(cursor: Cursor, progress: Progress, before: number): void {
  for (let contexts = before; ;) {
    cursor.seam("libxl", contexts);
    const record = walkLibxlRecord(cursor, progress);
    if (record.type === LIBXL.end.type) return;
    if (record.type !== LIBXL.libxcContext.type) continue;
    if (contexts > 0) {
      const found = "another one";
      throw cursor.fail(record, {
        field: "type",
        expected: "one LIBXC_CONTEXT in a stream",
        found,
      });
    }
    contexts++;
    if (walkLibxc(cursor, progress) === "remus ended") return;
  }
}

/**
 * A libxc image with its headers, through all its checkpoints. "end": its END was read. "remus
 * ended": the input ended just behind a CHECKPOINT_END.
 */
export function walkLibxc(cursor: Cursor, progress: Progress): "end" | "remus ended" {
  progress.layer = "libxc";
  walkLibxcHeaders(cursor);
  return walkRounds(cursor, progress, ROUND_START);
}

/** From a seam within an image on. */
function walkRounds(cursor: Cursor, progress: Progress, from: Seam): "end" | "remus ended" {
  for (let seam = from; ; seam = ROUND_START) {
    if (seam.within === "libxc") {
      progress.layer = "libxc";
      if (walkLibxcRecords(cursor, seam.count) === "end") break;
    }
    if (seam.within !== "states") {
      if (progress.tailsElsewhere) passCheckpoint(cursor, progress);
      else walkCheckpointTail(cursor, progress, seam.within === "tail");
    }
    if (!takeCheckpointStates(cursor, progress, seam.within === "states" ? seam.count : 0))
      return "remus ended";
  }
  progress.layer = "libxl";
  return "end";
}

/** libxl's records between a libxc CHECKPOINT and CHECKPOINT_END. */
function walkCheckpointTail(cursor: Cursor, progress: Progress, isBegun: boolean): void {
  progress.isCheckpointed = true;
  progress.layer = "libxl";
  if (!isBegun) progress.step("libxc_checkpoint");
  for (;;) {
    cursor.seam("tail", 0);
    const record = walkLibxlRecord(cursor, progress);
    if (record.type === LIBXL.checkpointEnd.type) break;
    progress.step("record");
  }
  completeCheckpoint(cursor, progress);
}

/** The same where those records are not in this input. */
function passCheckpoint(cursor: Cursor, progress: Progress): void {
  progress.isCheckpointed = true;
  progress.step("libxc_checkpoint");
  completeCheckpoint(cursor, progress);
}

function completeCheckpoint(cursor: Cursor, progress: Progress): void {
  progress.step("checkpoint_end");
  progress.step("applied"); // Nothing is applied here: whether it could be, the visitor tells.
  progress.checkpoints++;
  progress.lastCheckpointEnd = cursor.position;
  cursor.visitor.checkpoint({ number: progress.checkpoints, endOffset: cursor.position });
}

/**
 * COLO's CHECKPOINT_STATE records behind a checkpoint. Their type is also libxc's
 * X86_PV_VCPU_EXTENDED; the length, and that no libxc round begins with a vcpu, tell them apart.
 * False where the input ends here.
 */
function takeCheckpointStates(cursor: Cursor, progress: Progress, before: number): boolean {
  for (let states = before; ;) {
    // The primary sends NEW, once.
    cursor.seam("states", states);
    const got = cursor.source.peek(RECORD_HEADER_BYTES);
    if (got === 0) {
      progress.endedAtCheckpoint = true;
      return false;
    }
    const { view, at } = cursor.source;
    if (got < RECORD_HEADER_BYTES) return true; // Cut inside a header: the libxc reader says so.
    const isState = view.getUint32(at, true) === LIBXL.checkpointState.type;
    if (!isState || !CHECKPOINT_STATE_BYTES.includes(view.getUint32(at + 4, true))) return true;
    progress.isColo = true;
    progress.layer = "libxl";
    const record = walkLibxlRecord(cursor, progress);
    if (++states > 1) {
      const expected = "one CHECKPOINT_STATE between two checkpoints";
      throw cursor.fail(record, { field: "type", expected, found: "another one" });
    }
  }
}

function walkLibxlRecord(cursor: Cursor, progress: Progress): StreamRecord {
  const place = cursor.place("libxl", "record_header");
  const { view, at } = cursor.take(RECORD_HEADER_BYTES, place, "header");
  const type = view.getUint32(at, true);
  const bodyBytes = view.getUint32(at + 4, true);
  const layout = libxlRecordOf(type);
  const record = cursor.record({
    layer: "libxl",
    record: layout?.name ?? `type ${hex(type)}`,
    fileOffset: place.fileOffset,
    type,
    bodyBytes,
  });
  const refusal = refusalOf(progress.phase, record.record);
  if (refusal !== undefined) {
    throw cursor.fail(record, { field: "type", expected: refusal, found: record.record });
  }
  if (bodyBytes > LIBXL_RECORD_BYTES_MAX) {
    throw cursor.fail(record, {
      field: "body_length",
      fileOffset: record.fileOffset + offsetOf(RECORD_HEADER, "body_length"),
      expected: `at most ${hex(LIBXL_RECORD_BYTES_MAX)}`,
      found: hex(bodyBytes),
    });
  }
  cursor.body(record, sizeOf(layout?.head ?? {}));
  cursor.padding(record);
  cursor.visitor.recordEnd(record);
  return record;
}
