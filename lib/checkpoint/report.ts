// What the checkpoint commands say in JSON. The schemas are documented (`agent schema checkpoint
// list` and so on prints them): fields are only ever added.

import * as v from "valibot";
import type { RestorePoint, ScannedFolder } from "./points.ts";
import { SLOT_BYTES } from "./layout.ts";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));

export const RestorePointSchema = v.strictObject({
  number: count("of the restore point, unique in its folder: what --at takes"),
  stream: count("the stream that it came with, counted from 1"),
  checkpoint: count("which checkpoint of that stream, counted from 1"),
  committed_at: text("when it was committed (UTC, RFC 3339)"),
  changed_pages: count("page entries that this checkpoint brought"),
  changed_contents: count("those of them with contents"),
  pfns: count("distinct pfns of the guest so far"),
  bytes: count("bytes of stream that this checkpoint had"),
  end_offset: count("offset in the stream behind its CHECKPOINT_END"),
  interval_ms: count("since the checkpoint before it began; 0 for the first of a stream"),
  arrival_ms: count("from its first byte to its last"),
  lag_ms: count("from its last byte until its pages were safe"),
  lag_bytes: count("bytes that had arrived meanwhile and were not read"),
});
export type RestorePointReport = v.InferOutput<typeof RestorePointSchema>;

export function pointReport(point: RestorePoint): RestorePointReport {
  return {
    number: point.number,
    stream: point.stream,
    checkpoint: point.round,
    committed_at: new Date(point.committedMs).toISOString(),
    changed_pages: point.entries,
    changed_contents: point.contents,
    pfns: point.pfns,
    bytes: point.roundBytes,
    end_offset: point.endOffset,
    interval_ms: point.intervalMs,
    arrival_ms: point.arrivalMs,
    lag_ms: point.syncMs,
    lag_bytes: point.lagBytes,
  };
}

const StreamSchema = v.strictObject({
  stream: count("number of the stream"),
  started_at: text("when its reception began (UTC, RFC 3339)"),
  journal_bytes: count("size of its journal"),
  page_file_bytes: count("size of its page file at the last commit"),
  tail: v.nullable(text("what stands behind the last commit and does not count")),
  damaged: v.pipe(v.boolean(), v.description("records that count stand behind a wrong one")),
  failover: v.nullable(
    v.strictObject({
      number: count("the restore point that was handed to a command"),
      state: v.picklist(["begun", "done", "failed"]),
    }),
  ),
});

export const CheckpointListSchema = v.strictObject({
  folder: text("the folder"),
  receiving: v.pipe(v.boolean(), v.description("somebody writes to it now")),
  points: v.array(RestorePointSchema),
  commits: v.pipe(
    v.array(RestorePointSchema),
    v.description("what is known of all commits, also of those that cannot be restored any more"),
  ),
  streams: v.array(StreamSchema),
});
export type CheckpointList = v.InferOutput<typeof CheckpointListSchema>;

export function listReport({ path, points, streams }: ScannedFolder, receiving: boolean) {
  const report: CheckpointList = {
    folder: path,
    receiving,
    points: points.map(pointReport),
    commits: streams.flatMap((each) => [...each.past, ...each.points]).map(pointReport),
    streams: streams.map((stream) => ({
      stream: stream.files.stream,
      started_at: new Date(stream.start?.createdMs ?? 0).toISOString(),
      journal_bytes: stream.bytes,
      page_file_bytes: (stream.points.at(-1)?.slots ?? 0) * SLOT_BYTES,
      tail: stream.tail ?? null,
      damaged: stream.isDamaged,
      failover: stream.failover ?? null,
    })),
  };
  return report;
}

export const CheckpointReceiveSchema = v.strictObject({
  folder: text("where the stream was kept"),
  input: text("what was read"),
  stream: count("its number in the folder"),
  ended: v.pipe(
    v.picklist(["lost", "end", "bad", "failed_over", "failover_refused", "failover_failed"]),
    v.description("lost: the sender has gone; end: in order; bad: what it sent is wrong"),
  ),
  commits: count("checkpoints that were committed"),
  position: count("bytes of stream read"),
  waited_ms: count("time in which the sender had nothing"),
  duration_ms: count("since the first byte was waited for"),
  last: v.nullable(RestorePointSchema),
  reason: v.nullable(text("why the stream, or the failover, ended as it did")),
});
export type CheckpointReceive = v.InferOutput<typeof CheckpointReceiveSchema>;

export const CheckpointStatusSchema = v.strictObject({
  folder: text("where the stream is kept"),
  stream: count("its number in the folder"),
  position: count("bytes of stream read"),
  commits: count("checkpoints committed so far"),
  uncommitted_bytes: count("bytes read since the last commit"),
  waiting_bytes: count("bytes that have arrived and were not read"),
  since_commit_ms: v.nullable(count("since the last commit")),
  last: v.nullable(RestorePointSchema),
});
export type CheckpointStatus = v.InferOutput<typeof CheckpointStatusSchema>;

export const CheckpointVerifySchema = v.strictObject({
  folder: text("the folder"),
  verdict: v.picklist(["good", "bad"]),
  points: v.array(RestorePointSchema),
  pages: count("page contents that were read and compared with their checksums"),
  bad_pages: count("those of them that are not what was received"),
  problems: v.array(
    v.strictObject({
      stream: count("the stream"),
      file: text("the file"),
      offset: count("where in it"),
      problem: text("what is wrong"),
      points: v.nullable(
        v.strictObject({
          first: count("the first restore point that it spoils"),
          last: count("the last one"),
        }),
      ),
    }),
  ),
  tails: v.array(text("what a crash has left behind a journal's last commit; no problem")),
});
export type CheckpointVerify = v.InferOutput<typeof CheckpointVerifySchema>;

export const CheckpointRestoreSchema = v.strictObject({
  folder: text("the folder"),
  output: text("what was written"),
  point: RestorePointSchema,
  output_bytes: count("size of the output"),
});
export type CheckpointRestore = v.InferOutput<typeof CheckpointRestoreSchema>;

export const CheckpointPruneSchema = v.strictObject({
  folder: text("the folder"),
  removed: v.array(RestorePointSchema),
  kept: v.array(RestorePointSchema),
  freed_bytes: count("bytes of page contents that were given back to the disk"),
});
export type CheckpointPrune = v.InferOutput<typeof CheckpointPruneSchema>;
