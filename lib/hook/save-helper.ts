// The program that libxl runs as its save helper, around the real one. Three processes:
//
//   supervisor   this one: the pid that libxl knows. On the runtime's own loop, so that it hears
//                SIGTERM; it passes that on, and ends as the real helper ends
//   worker       this program again: the relay, between the real IO_FD and a pipe
//   helper       the real one, with its stream on the other end of that pipe
//
//   save       helper ── pipe ──> worker ──> IO_FD
//   restore    IO_FD ──> worker ── pipe ──> helper
//
// The control pipes (0 and 1) are the helper's alone. Only with checkpoints (Remus) they go through
// the worker, unchanged: message-gate.ts tells why. COLO has a second stream; there, and for calls
// we do not know, the real helper is executed in our place.
//
// How it ends:
//   helper fails        libxl sees just that: its messages, its exit status or signal
//   worker fails        the helper's next write or read fails: again its own failure path. What it
//                       wrote before that may be lost, so on save a helper that ended well does not
//                       count: status 1
//   supervisor killed   the worker sees its line end, and kills the helper: as if libxl had killed
//                       the helper itself

import { join } from "node:path";
import {
  duplicateForChild,
  Fd,
  keepOnExec,
  makeNonBlocking,
  replaceProgram,
} from "../sys/index.ts";
import { LIFELINE, pipeForChildren, type SelfCommand, send } from "../stream/index.ts";
import { type HelperCall, withIoFd } from "./helper-call.ts";

/** What the helper finds at its descriptors besides 0 to 2, and the worker. */
const HELPER_STREAM_FD = 3;
export const WORKER_FD = { lifeline: 3, source: 4, target: 5, toHelper: 6, fromHelper: 7 } as const;

/** For what the helper wrote before it failed. */
const LAST_BYTES_MS = 1000;

/** Exit statuses of a worker. */
export const WORKER_STATUS = { delivered: 0, badButDelivered: 3, failed: 1 } as const;

export type OnBadStream = "pass" | "cut";

/** What the worker is told besides its descriptors. */
export interface WorkerSettings {
  readonly direction: "save" | "restore";
  readonly domid: number;
  readonly isCheckpointed: boolean;
  readonly onError: OnBadStream;
  readonly helperPid: number;
  /** Path of the worker's control socket, by which it is replaced; null for none. */
  readonly control: string | null;
}

/** Names a folder in which each worker has its control socket, save-helper-DOMID.sock. */
const CONTROL_VARIABLE = "AGENT_HELPER_CONTROL";

export interface SuperviseOptions {
  readonly call: HelperCall;
  readonly argv: readonly string[];
  readonly helper: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly selfCommand: SelfCommand;
  readonly onError: OnBadStream;
}

export type HelperEnd =
  | { readonly kind: "exit"; readonly status: number }
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals };

/** Runs the helper and the worker to their ends. */
export async function superviseHelper(options: SuperviseOptions): Promise<HelperEnd> {
  const { helper, worker, line } = start(options);
  let isTerminating = false;
  const onTerm = (): void => {
    isTerminating = true;
    helper.kill("SIGTERM");
  };
  process.on("SIGTERM", onTerm);
  try {
    const status = await helper.exited;
    const signal = helper.signalCode;
    // A save that has failed waits for no stalled peer: what is still on its way is of no use.
    const hasFailed = isTerminating || signal !== null || status !== 0;
    if (hasFailed) {
      await Promise.race([worker.exited, Bun.sleep(LAST_BYTES_MS)]);
      send(line, LIFELINE.stop);
    }
    const relayed = await worker.exited;
    if (typeof signal === "string") return { kind: "signal", signal };
    if (hasFailed || options.call.direction === "restore") return { kind: "exit", status };
    const isDelivered =
      relayed === WORKER_STATUS.delivered || relayed === WORKER_STATUS.badButDelivered;
    return { kind: "exit", status: isDelivered ? 0 : 1 };
  } finally {
    process.off("SIGTERM", onTerm);
    line[Symbol.dispose]();
  }
}

interface Started {
  readonly helper: Bun.Subprocess;
  readonly worker: Bun.Subprocess;
  readonly line: Fd;
}

function start({ call, argv, environment, selfCommand, ...options }: SuperviseOptions): Started {
  const isSave = call.direction === "save";
  const isCheckpointed = call.streamType !== "plain";
  using io = duplicateForChild(call.ioFd, "the stream");
  const stream = pipeForChildren();
  const [toHelper, fromHelper, line] = [pipeForChildren(), pipeForChildren(), pipeForChildren()];
  makeNonBlocking(line.writeEnd);
  const ours = isSave ? stream.readEnd : stream.writeEnd;
  const theirs = isSave ? stream.writeEnd : stream.readEnd;
  const helper = Bun.spawn([options.helper, ...withIoFd(argv, HELPER_STREAM_FD)], {
    stdio: [
      isCheckpointed ? toHelper.readEnd.number : "inherit",
      isCheckpointed ? fromHelper.writeEnd.number : "inherit",
      "inherit",
      theirs.number,
    ],
    env: environment,
  });
  const settings: WorkerSettings = {
    direction: call.direction,
    domid: call.domid,
    isCheckpointed,
    onError: options.onError,
    helperPid: helper.pid,
    control: controlPath(environment[CONTROL_VARIABLE], call.domid),
  };
  const { executable, words } = selfCommand;
  const worker = Bun.spawn([executable, ...words, "save-worker", JSON.stringify(settings)], {
    stdio: [
      isCheckpointed ? "inherit" : "ignore",
      isCheckpointed ? "inherit" : "ignore",
      "inherit",
      line.readEnd.number,
      (isSave ? ours : io).number,
      (isSave ? io : ours).number,
      toHelper.writeEnd.number,
      fromHelper.readEnd.number,
    ],
    env: selfCommand.environment,
  });
  for (const { readEnd, writeEnd } of [stream, toHelper, fromHelper]) {
    readEnd[Symbol.dispose]();
    writeEnd[Symbol.dispose]();
  }
  line.readEnd[Symbol.dispose]();
  return { helper, worker, line: line.writeEnd };
}

const controlPath = (folder: string | undefined, domid: number): string | null =>
  folder === undefined || folder === "" ? null : join(folder, `save-helper-${domid}.sock`);

/** Runs the real helper in our place: nothing of us is left. */
export function becomeHelper(
  helper: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): never {
  // The runtime has marked what we inherited: what the arguments name must stay open.
  for (const word of argv.slice(1, 3)) {
    const number = Number(word);
    if (number > 2) keepIfOpen(number);
  }
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined) kept[name] = value;
  }
  replaceProgram(helper, { argv: [helper, ...argv], environment: kept });
}

function keepIfOpen(number: number): void {
  try {
    keepOnExec(new Fd(number, `descriptor ${number}`));
  } catch {
    // It is not open: the number means nothing to the helper either.
  }
}
