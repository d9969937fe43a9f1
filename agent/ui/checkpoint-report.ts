// What the checkpoint commands print for people.

import { plural } from "../../lib/base/index.ts";
import type {
  CheckpointList,
  CheckpointPrune,
  CheckpointReceive,
  CheckpointRestore,
  CheckpointVerify,
  RestorePointReport,
} from "../../lib/checkpoint/index.ts";
import { formatBytes, formatCount, formatDuration, formatMilliseconds } from "./numbers.ts";
import { table, type TextStyle } from "./text-layout.ts";

const PAGE_BYTES = 4096;

/** "2026-11-21 13:40:24 UTC" */
export const timeText = (iso: string): string => `${iso.slice(0, 19).replace("T", " ")} UTC`;

const pointText = ({ number, checkpoint, stream, committed_at: at }: RestorePointReport): string =>
  `restore point ${number} (checkpoint ${checkpoint} of stream ${stream}, ${timeText(at)})`;

// ---- receive ----------------------------------------------------------------------------------

const ENDINGS: Readonly<Record<CheckpointReceive["ended"], string>> = {
  lost: "The sender has gone",
  end: "The stream came to its end",
  bad: "The stream is bad from here on, and was not read on",
  failed_over: "The sender has gone, and the failover command has taken over",
  failover_refused: "The sender has gone, and nothing was failed over",
  failover_failed: "The sender has gone, and the failover command FAILED",
};

export function receiveLines(report: CheckpointReceive): string[] {
  const { ended, reason, last, commits, folder } = report;
  const lines = [
    `${ENDINGS[ended]}: ${plural(commits, "checkpoint")} committed to ${folder}, ` +
      `${formatBytes(report.position)} in ${formatDuration(report.duration_ms / 1000)}`,
  ];
  if (reason !== null) lines.push(`  ${reason}`);
  if (commits === 0) lines.push("  No checkpoint of this stream was complete.");
  if (last === null) return lines;
  if (ended === "end" || ended === "failed_over") return [...lines, `  ${pointText(last)}`];
  lines.push(`  LEFT FOR YOU: ${pointText(last)}. To run it, when the guest runs nowhere else:`);
  lines.push(`    agent checkpoint restore ${shellWord(folder)} --to - | xl restore /dev/stdin`);
  return lines;
}

const shellWord = (word: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

// ---- list -------------------------------------------------------------------------------------

export function listLines(report: CheckpointList, style: TextStyle): string[] {
  const { folder, points, streams, receiving } = report;
  const bytes = streams.reduce((sum, each) => sum + each.journal_bytes + each.page_file_bytes, 0);
  const lines = [
    `${folder}: ${plural(points.length, "restore point")}, ${formatBytes(bytes)}` +
      `${receiving ? ", a stream is being received" : ""}`,
  ];
  if (points.length > 0) {
    lines.push(
      ...table(
        [
          { title: "point", align: "right" },
          { title: "stream", align: "right", drop: 4 },
          { title: "checkpoint", align: "right", drop: 3 },
          { title: "committed" },
          { title: "changed pages", align: "right" },
          { title: "bytes", align: "right", drop: 1 },
          { title: "interval", align: "right", drop: 2 },
          { title: "lag", align: "right" },
        ],
        points.map((point) => [
          String(point.number),
          String(point.stream),
          String(point.checkpoint),
          timeText(point.committed_at),
          formatCount(point.changed_pages),
          formatBytes(point.bytes),
          point.checkpoint === 1 ? "" : formatMilliseconds(point.interval_ms),
          formatMilliseconds(point.lag_ms),
        ]),
        style,
      ),
    );
  }
  return [...lines, ...streamNotes(report)];
}

function streamNotes({ streams, receiving }: CheckpointList): string[] {
  const notes: string[] = [];
  for (const [index, { stream, tail, damaged, failover }] of streams.entries()) {
    const isCurrent = receiving && index === streams.length - 1;
    if (damaged) notes.push(`  stream ${stream} is DAMAGED: ${tail}, with commits behind it`);
    else if (tail !== null && !isCurrent) notes.push(`  stream ${stream} was cut off: ${tail}`);
    if (failover === null) continue;
    const what = { begun: "was begun", done: "was done", failed: "failed" }[failover.state];
    notes.push(`  stream ${stream}: a failover to restore point ${failover.number} ${what}`);
  }
  return notes;
}

// ---- verify, restore, prune -------------------------------------------------------------------

export function verifyLines(report: CheckpointVerify): string[] {
  const { folder, verdict, points, pages, bad_pages: bad, problems, tails } = report;
  const lines = [
    `${verdict}: ${folder}: ${plural(points.length, "restore point")}, ` +
      `${formatCount(pages)} pages (${formatBytes(pages * PAGE_BYTES)}) read`,
  ];
  for (const { file, offset, problem, points: spoiled } of problems) {
    const which = spoiled === null ? "" : `; spoils ${rangeText(spoiled)}`;
    lines.push(`  ${file} at offset 0x${offset.toString(16)}: ${problem}${which}`);
  }
  if (bad > problems.length) lines.push(`  ${formatCount(bad)} bad pages in all`);
  for (const tail of tails) lines.push(`  no problem: ${tail}`);
  return lines;
}

const rangeText = ({ first, last }: { readonly first: number; readonly last: number }): string =>
  first === last ? `restore point ${first}` : `restore points ${first} to ${last}`;

export const restoreLines = (report: CheckpointRestore): string[] => [
  `restored: ${pointText(report.point)} to ${report.output}`,
  `  ${formatBytes(report.output_bytes)}, ${formatCount(report.point.pfns)} pages`,
];

export const pruneLines = ({ folder, removed, kept, freed_bytes: freed }: CheckpointPrune) => [
  `pruned: ${folder}: ${plural(removed.length, "restore point")} given up, ${kept.length} kept`,
  `  ${formatBytes(freed)} given back to the disk`,
];
