// Checkpoint phases of the libxl stream reader, as a pure table
// (tools/libs/light/libxl_stream_read.c, its header comment; tools/libs/guest/xg_sr_restore.c,
// handle_checkpoint).
//
//   NORMAL       records are read and processed one by one; the libxc reader owns the stream in
//                between.
//   BUFFERING    libxc met a CHECKPOINT record: libxl records are read and queued, none is looked
//                at, until CHECKPOINT_END is at the tail of the queue.
//   UNBUFFERING  the queue is processed in order.
//
// SUCCESS, FAILOVER and ERROR are what libxl hands back to libxc when a checkpoint is over.
// FAILOVER means the peer died in the middle of a checkpoint's libxl records: they are dropped, the
// guest can go on from the checkpoint before. ERROR means half of a checkpoint has been applied:
// nothing can go on.

import { assert } from "../base/index.ts";

export type Phase = "NORMAL" | "BUFFERING" | "UNBUFFERING";
export type CheckpointResult = "SUCCESS" | "FAILOVER" | "ERROR";

const PHASES = [
  // from           on                    to             result
  ["NORMAL", "libxc_checkpoint", "BUFFERING", undefined],
  ["BUFFERING", "record", "BUFFERING", undefined],
  ["BUFFERING", "checkpoint_end", "UNBUFFERING", undefined],
  ["BUFFERING", "input_ended", "NORMAL", "FAILOVER"],
  ["BUFFERING", "read_failed", "NORMAL", "FAILOVER"],
  ["UNBUFFERING", "applied", "NORMAL", "SUCCESS"],
  ["UNBUFFERING", "apply_failed", "NORMAL", "ERROR"],
] as const satisfies readonly (readonly [Phase, string, Phase, CheckpointResult | undefined])[];

type PhaseRow = (typeof PHASES)[number];
export type PhaseEvent = PhaseRow[1];

/** What the table says; undefined where the reader refuses the event in that phase. */
export function nextPhase(from: Phase, on: PhaseEvent): PhaseStep | undefined {
  const row = PHASES.find((candidate) => candidate[0] === from && candidate[1] === on);
  return row === undefined ? undefined : { phase: row[2], result: row[3] };
}
export interface PhaseStep {
  readonly phase: Phase;
  readonly result: CheckpointResult | undefined;
}

// ---- Records that a phase refuses -------------------------------------------------------------

/** Why a libxl record may not stand in a phase; undefined where it may. */
export function refusalOf(phase: Phase, recordName: string): string | undefined {
  if (phase === "NORMAL" && recordName === "CHECKPOINT_END") {
    return "a CHECKPOINT_END only after a libxc CHECKPOINT";
  }
  if (phase === "BUFFERING" && recordName === "END") return "a CHECKPOINT_END before the END";
  if (phase === "BUFFERING" && recordName === "LIBXC_CONTEXT") {
    return "no LIBXC_CONTEXT within a checkpoint";
  }
  return undefined;
}

// ---- Where the input ended --------------------------------------------------------------------

/** The part of a stream that its end fell into. */
export type EndedIn =
  /** The libxl header, or libxl records outside a checkpoint. */
  | "libxl"
  /** libxc headers or records. */
  | "libxc"
  /** Between a libxc CHECKPOINT and its CHECKPOINT_END. */
  | "checkpoint_tail"
  /** CHECKPOINT_END was read; applying the buffered records failed. */
  | "applying";

/** plain: no CHECKPOINT was met. Remus: whether the first checkpoint has been applied whole. */
export type StreamKind = "plain" | "before_first_checkpoint" | "after_checkpoint";

export type TruncationOutcome = "error" | "failover" | "not_applicable";

// prettier-ignore: one row a place, one column a kind of stream.
const TRUNCATION: readonly (readonly [EndedIn, StreamKind, TruncationOutcome])[] = [
  ["libxl", "plain", "error"],
  ["libxl", "before_first_checkpoint", "error"],
  ["libxl", "after_checkpoint", "failover"], // Only inside a checkpoint's libxl records.
  ["libxc", "plain", "error"],
  ["libxc", "before_first_checkpoint", "error"],
  ["libxc", "after_checkpoint", "failover"], // To the last complete checkpoint.
  ["checkpoint_tail", "plain", "not_applicable"],
  ["checkpoint_tail", "before_first_checkpoint", "error"],
  ["checkpoint_tail", "after_checkpoint", "failover"], // This checkpoint is discarded.
  ["applying", "plain", "not_applicable"],
  ["applying", "before_first_checkpoint", "error"],
  ["applying", "after_checkpoint", "error"], // Half applied: no failover.
];

/** What a receiver does when the input ends there. */
export function onTruncation(endedIn: EndedIn, kind: StreamKind): TruncationOutcome {
  const row = TRUNCATION.find((candidate) => candidate[0] === endedIn && candidate[1] === kind);
  assert(row, `phases: no truncation row for ${endedIn}, ${kind}`);
  return row[2];
}
