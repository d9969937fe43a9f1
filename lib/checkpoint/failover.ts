// Failover: the last restore point, as a plain stream, to a command that runs it.
//
// Two running copies of one guest are the danger of Remus: a sender that cannot be reached may
// still run it. So a fence says yes first (it has switched that host off, or cut it from its
// disks), or the operator has said that none is needed. What is being done is noted in the folder
// before it is done.

import { RefusedError, SystemError } from "../base/index.ts";
import { StreamError } from "../bytes/index.ts";
import { FdSink, pipeForChildren } from "../stream/index.ts";
import { tryNoteFailover } from "./prune.ts";
import { openPoint, restorePoint } from "./restore.ts";
import type { RestorePoint } from "./points.ts";
import type { Clock } from "./retention.ts";

export interface FailoverOptions {
  readonly folder: string;
  readonly point: RestorePoint;
  /** For the shell; undefined: the operator has said that none is needed. */
  readonly fence: string | undefined;
  /** For the shell; it gets the stream on its standard input. */
  readonly command: string;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface FailoverResult {
  readonly outcome: "failed_over" | "failover_refused" | "failover_failed";
  readonly reason: string | undefined;
}

export async function failOver(options: FailoverOptions): Promise<FailoverResult> {
  const { fence, folder, point, clock } = options;
  if (fence !== undefined) {
    const status = await shell(fence, options, "ignore").exited;
    if (status !== 0) {
      const reason = `the fence did not say yes: "${fence}" ended with status ${status}`;
      return { outcome: "failover_refused", reason };
    }
  }
  const note = tryNoteFailover(folder, point, { state: "begun", clock });
  const reason = await feed(options);
  const state = reason === undefined ? "done" : "failed";
  const secondNote = tryNoteFailover(folder, point, { state, clock });
  const notes = [reason, note ?? secondNote].filter((text) => text !== undefined);
  return {
    outcome: reason === undefined ? "failed_over" : "failover_failed",
    reason: notes.length === 0 ? undefined : notes.join("; "),
  };
}

/** Why it failed; undefined: the command has taken all of it and ended well. */
async function feed(options: FailoverOptions): Promise<string | undefined> {
  const { folder, point, command } = options;
  const { readEnd, writeEnd } = pipeForChildren();
  writeEnd.name = "the failover command's input";
  const child = shell(command, options, readEnd.number);
  readEnd[Symbol.dispose]();
  const failure = ((): string | undefined => {
    using _ = writeEnd;
    try {
      using open = openPoint(folder, point.number);
      using sink = new FdSink(writeEnd, "pipe");
      restorePoint(open, { sink, onProgress() {} });
      sink.flush();
      return undefined;
    } catch (error) {
      const isExpected =
        error instanceof SystemError ||
        error instanceof StreamError ||
        error instanceof RefusedError;
      if (!isExpected) throw error;
      return error.message;
    }
  })();
  const status = await child.exited;
  if (status === 0) return failure;
  const ended = `"${command}" ended with status ${status}`;
  return failure === undefined ? ended : `${ended}; ${failure}`;
}

/** Its standard output goes where errors go: ours belongs to the sender. */
function shell(
  command: string,
  { environment, ...rest }: FailoverOptions,
  input: "ignore" | number,
) {
  const { folder, point } = rest;
  return Bun.spawn(["/bin/sh", "-c", command], {
    stdio: [input, 2, 2],
    env: {
      ...environment,
      AGENT_CHECKPOINT_FOLDER: folder,
      AGENT_CHECKPOINT_NUMBER: String(point.number),
    },
  });
}
