// Receives and restores within the test's own process, and asks squash what should have come out.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  openPoint,
  receiveStream,
  type ReceiveOptions,
  type ReceiveResult,
  restorePoint,
  scanFolder,
  systemClock,
} from "../../lib/checkpoint/index.ts";
import { MemorySink } from "../../lib/stream/output/index.ts";
import { moveOffset, openForReading } from "../../lib/sys/index.ts";
import { squashPath } from "./squash-bytes.ts";

export interface ReceiveTestOptions extends Partial<Omit<ReceiveOptions, "listener">> {
  readonly keep?: number;
  readonly keepForMs?: number;
  /** Pauses behind so many commits. */
  readonly pauseBehind?: number;
  readonly onCommit?: (number: number) => void;
  readonly onSilence?: () => void;
}

/** Where a stream of a test stands in a folder of its own. */
export function streamFile(folder: string, bytes: Uint8Array): string {
  const path = join(folder, "stream");
  writeFileSync(path, bytes);
  return path;
}

/** Receives a file, or goes on with it where a paused receiver had come to. */
export function receivePath(
  path: string,
  folder: string,
  options: ReceiveTestOptions,
): ReceiveResult {
  const { keep = 1, keepForMs, pauseBehind = Infinity, onCommit, onSilence, ...others } = options;
  const { paused, ...rest } = others;
  using fd = openForReading(path);
  if (paused !== undefined) moveOffset(fd, paused.position);
  let commits = 0;
  return receiveStream({
    folder,
    open: () => ({ fd, kind: "file" }),
    control: undefined,
    silenceMs: 60_000,
    durability: "memory",
    compactSlackBytes: 0,
    retention: { keep, keepForMs },
    clock: systemClock(),
    companion: undefined,
    paused,
    listener: {
      committed({ number }) {
        commits++;
        onCommit?.(number);
      },
      progress() {},
      silent() {
        onSilence?.();
      },
      shouldPause: () => commits >= pauseBehind,
    },
    ...rest,
  });
}

/** A restore point's bytes; the last one's without a number. */
export function restoreBytes(folder: string, number: number | undefined): Uint8Array {
  using point = openPoint(folder, number);
  const sink = new MemorySink();
  restorePoint(point, { sink, onProgress() {} });
  return sink.contents.slice();
}

/** What squash makes of a stream at one of its checkpoints. */
export async function squashed(path: string, at: number): Promise<Uint8Array> {
  const sink = new MemorySink();
  await squashPath(path, sink, { at });
  return sink.contents.slice();
}

/** Numbers of the restore points that do not give what squash does; empty when all is right. */
export async function wrongPoints(folder: string, paths: readonly string[]): Promise<number[]> {
  const wrong: number[] = [];
  for (const { number, stream, round } of scanFolder(folder).points) {
    const expected = squashed(paths[stream - 1]!, round);
    if (Buffer.compare(restoreBytes(folder, number), await expected) !== 0) wrong.push(number);
  }
  return wrong;
}

export const pointNumbers = (folder: string): number[] =>
  scanFolder(folder).points.map(({ number }) => number);
