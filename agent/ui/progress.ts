// A progress line on stderr: only on a terminal, only for work over half a second, and gone when it
// ends.

import { isTerminal, STDERR_FD } from "../../lib/sys/index.ts";
import { formatBytes, formatDuration } from "./numbers.ts";
import { printToStderr } from "./output.ts";

const FIRST_SHOWN_MS = 500;
const EVERY_MS = 200;
const ERASE_LINE = "\r\u001b[K";

export interface Progress {
  at(position: number): void;
  clear(): void;
}

export interface ProgressOptions {
  /** undefined: unknown, as for a pipe. */
  readonly bytesTotal: number | undefined;
  readonly wanted: boolean;
}

export function startProgress({ bytesTotal, wanted }: ProgressOptions): Progress {
  if (!wanted || !isTerminal(STDERR_FD)) return { at() {}, clear() {} };
  const startedAt = performance.now();
  let dueAt = startedAt + FIRST_SHOWN_MS;
  let isShown = false;
  return {
    at(position) {
      const now = performance.now();
      if (now < dueAt) return;
      dueAt = now + EVERY_MS;
      isShown = true;
      const line = progressLine({ position, bytesTotal, elapsedMs: now - startedAt });
      const columns = process.stderr.columns > 0 ? process.stderr.columns : 80;
      printToStderr(`${ERASE_LINE}${line.slice(0, columns - 1)}`);
    },
    clear() {
      if (isShown) printToStderr(ERASE_LINE);
    },
  };
}

/** "1.2 GiB of 4.0 GiB  30%  1.1 GiB/s  2 s left" */
export function progressLine({
  position,
  bytesTotal,
  elapsedMs,
}: {
  readonly position: number;
  readonly bytesTotal: number | undefined;
  readonly elapsedMs: number;
}): string {
  const perSecond = elapsedMs > 0 ? (position / elapsedMs) * 1000 : 0;
  const rate = `${formatBytes(perSecond)}/s`;
  if (bytesTotal === undefined || bytesTotal === 0) return `${formatBytes(position)}  ${rate}`;
  const share = `${Math.floor((position / bytesTotal) * 100)}%`;
  const left = perSecond > 0 ? formatDuration((bytesTotal - position) / perSecond) : "?";
  return `${formatBytes(position)} of ${formatBytes(bytesTotal)}  ${share}  ${rate}  ${left} left`;
}
