// The status line of a receiver, on a terminal: where it is, and how far behind a commit is.

import type { RestorePoint } from "../../lib/checkpoint/index.ts";
import { isTerminal, STDERR_FD } from "../../lib/sys/index.ts";
import { formatBytes, formatCount, formatMilliseconds } from "./numbers.ts";
import { printToStderr } from "./output.ts";

const EVERY_MS = 200;
const ERASE_LINE = "\r\u001b[K";

export interface ReceiveStatus {
  at(position: number): void;
  committed(point: RestorePoint): void;
  clear(): void;
}

export function startReceiveStatus(wanted: boolean): ReceiveStatus {
  if (!wanted || !isTerminal(STDERR_FD)) return { at() {}, committed() {}, clear() {} };
  let dueAt = 0;
  let isShown = false;
  let last: RestorePoint | undefined;
  return {
    at(position) {
      const now = performance.now();
      if (now < dueAt) return;
      dueAt = now + EVERY_MS;
      isShown = true;
      const columns = process.stderr.columns > 0 ? process.stderr.columns : 80;
      printToStderr(`${ERASE_LINE}${statusLine(position, last).slice(0, columns - 1)}`);
    },
    committed(point) {
      last = point;
    },
    clear() {
      if (isShown) printToStderr(ERASE_LINE);
      isShown = false;
    },
  };
}

function statusLine(position: number, last: RestorePoint | undefined): string {
  if (last === undefined) return `first checkpoint: ${formatBytes(position)}`;
  const behind = Math.max(0, position - last.endOffset);
  return (
    `restore point ${last.number}: ${formatCount(last.entries)} pages, lag ` +
    `${formatMilliseconds(last.syncMs)}; ${formatBytes(behind)} not committed`
  );
}
