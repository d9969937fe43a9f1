// Opening what a command reads more than once, and where a stream that is no file is kept.

import { dirname } from "node:path";
import { UsageError } from "../../../lib/base/index.ts";
import { openInput, rateLimiter, storeInput, type StoredInput } from "../../../lib/stream/index.ts";
import { isTerminal, STDIN_FD } from "../../../lib/sys/index.ts";
import { selfCommand } from "../../self.ts";
import { printNote } from "../../ui/log.ts";

/** Survives a restart and is on a disk, unlike /tmp: a stream is as large as its guest. */
const SPOOL_FOLDER = "/var/tmp";

export interface StoredRequest {
  /** "squash": for messages. */
  readonly verb: string;
  /** From --spool. */
  readonly spool: string | undefined;
  /** What is written, if it is a file. */
  readonly output: string | undefined;
  /** Say where a stream is kept. */
  readonly isVerbose: boolean;
}

export async function openStored(operand: string, request: StoredRequest): Promise<StoredInput> {
  if (operand === "-" && isTerminal(STDIN_FD)) {
    const advice = "name a stream, or send one to standard input";
    throw new UsageError(`Cannot ${request.verb} the terminal: ${advice}`);
  }
  const folder = spoolFolder(request);
  const input = openInput(operand, { selfCommand: selfCommand() });
  let stored: StoredInput;
  try {
    stored = storeInput(input, () => folder);
  } catch (error) {
    await input.close();
    throw error;
  }
  if (stored.isSpooled && request.isVerbose) {
    const why = stored.compression === undefined ? "is not a file" : "is compressed";
    await printNote(`${stored.name} ${why}: keeping the stream in "${folder}" meanwhile`);
  }
  return stored;
}

/** Where a stream that is no file is kept. */
export function spoolFolder({ spool, output }: StoredRequest): string {
  if (spool !== undefined) return spool;
  const isFile = output !== undefined && !/^([0-9]+|-|\/dev\/.*|\/proc\/.*)$/.test(output);
  return isFile ? dirname(output) : (process.env.TMPDIR ?? SPOOL_FOLDER);
}

/** A function to be told positions, that holds back to `rate` bytes a second. */
export const heldBack = (rate: number | undefined): ((position: number) => void) =>
  rate === undefined
    ? () => undefined
    : rateLimiter(rate, { now: () => performance.now(), sleep: Bun.sleepSync });
