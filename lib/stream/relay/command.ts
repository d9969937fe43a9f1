// Relaying around a command: `agent relay -- CMD`. Two processes besides the command:
//
//   supervisor   this one, on the runtime's own loop: it starts the other two, passes signals on and
//                keeps exit statuses. It holds no end of the stream
//   worker       this program again: it relays, and cannot hear signals while it does
//
//   our input ──> worker ──> CMD's input        CMD's output ──> worker ──> our output
//
// Whoever of them dies, its ends close, and the others see that: the worker ends when the line from
// its supervisor does, the command when its input ends or nobody reads its output.

import { RefusedError } from "../../base/index.ts";
import {
  abandon,
  borrow,
  duplicateForChild,
  Fd,
  makePipe,
  type Pipe,
  writeReady,
} from "../../sys/index.ts";
import type { SelfCommand } from "../input/index.ts";
import { LIFELINE } from "./lifeline.ts";
import { inheritedEnd, ownEnd } from "./open-ends.ts";
import type { OwnedEnd } from "./relay-options.ts";

/** The descriptors of a worker besides 0 to 2. */
const WORKER_FD = { lifeline: 3, toCommand: 4, fromCommand: 5 } as const;
const SIGNAL_STATUS_BASE = 128;

export interface RelayCommandOptions {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly selfCommand: SelfCommand;
  /** For the worker. */
  readonly settings: string;
  /** The worker's status for a bad stream, which counts more than the command's. */
  readonly badDataStatus: number;
}

type Child = Bun.Subprocess;

/** Returns the exit status: of the relay where that failed, else the command's. */
export async function relayCommand(options: RelayCommandOptions): Promise<number> {
  const { command, worker, line } = start(options);
  let received: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (received !== undefined) command.kill(signal); // Again: then it is the command's turn.
    received ??= signal;
    send(line, LIFELINE.stop);
  };
  const onStatus = (): void => send(line, LIFELINE.status);
  const stopping = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  for (const signal of stopping) process.on(signal, onSignal);
  process.on("SIGUSR2", onStatus);
  try {
    const relayed = await worker.exited;
    // The command sees the end of its input now. It also gets what we were told.
    if (received !== undefined) command.kill(received);
    const commanded = await command.exited;
    if (received !== undefined) return SIGNAL_STATUS_BASE + SIGNAL_NUMBERS[received]!;
    if (relayed === options.badDataStatus) return relayed;
    if (relayed !== 0 && commanded === 0) return relayed;
    return commanded;
  } finally {
    for (const signal of stopping) process.off(signal, onSignal);
    process.off("SIGUSR2", onStatus);
    line[Symbol.dispose]();
  }
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

function start({ command, environment, selfCommand, settings }: RelayCommandOptions) {
  const [toCommand, fromCommand, line] = [pipeForChildren(), pipeForChildren(), pipeForChildren()];
  const child = spawn([...command], {
    stdio: [toCommand.readEnd.number, fromCommand.writeEnd.number, "inherit"],
    env: environment,
  });
  const { executable, words } = selfCommand;
  const worker = spawn([executable, ...words, "relay-worker", settings], {
    stdio: [
      "inherit",
      "inherit",
      "inherit",
      line.readEnd.number,
      toCommand.writeEnd.number,
      fromCommand.readEnd.number,
    ],
    env: selfCommand.environment,
  });
  for (const { readEnd, writeEnd } of [toCommand, fromCommand]) {
    readEnd[Symbol.dispose]();
    writeEnd[Symbol.dispose]();
  }
  line.readEnd[Symbol.dispose]();
  // The worker alone decides when their other sides see an end.
  abandon(0);
  abandon(1);
  return { command: child, worker, line: line.writeEnd };
}

/** A pipe whose ends children can be given; see duplicateForChild. */
export function pipeForChildren(): Pipe {
  const { readEnd, writeEnd } = makePipe();
  const pipe = {
    readEnd: duplicateForChild(readEnd.number, readEnd.name),
    writeEnd: duplicateForChild(writeEnd.number, writeEnd.name),
  };
  readEnd[Symbol.dispose]();
  writeEnd[Symbol.dispose]();
  return pipe;
}

interface SpawnOptions {
  readonly stdio: ["inherit" | number, "inherit" | number, "inherit", ...number[]];
  readonly env: Readonly<Record<string, string | undefined>>;
}

function spawn(words: string[], options: SpawnOptions): Child {
  try {
    return Bun.spawn(words, options);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError(`Cannot run "${words[0]}": ${why}`, { cause: error });
  }
}

/** One letter down the line; a worker that has gone needs none. */
export function send(line: Fd, letter: string): void {
  using loan = borrow(16);
  loan.region.bytes[0] = letter.charCodeAt(0);
  try {
    writeReady(line, "pipe", { address: loan.region.address, bytes: 1 });
  } catch {
    // The worker has gone: its exit tells the rest.
  }
}

/** The ends that a worker was given. */
export function workerEnds(): {
  readonly source: OwnedEnd;
  readonly target: OwnedEnd;
  readonly back: { readonly from: OwnedEnd; readonly to: OwnedEnd };
  readonly lifeline: Fd;
} {
  return {
    source: inheritedEnd(0, "standard input", "source"),
    target: ownEnd(new Fd(WORKER_FD.toCommand, "the command's input")),
    back: {
      from: ownEnd(new Fd(WORKER_FD.fromCommand, "the command's output")),
      to: inheritedEnd(1, "standard output", "target"),
    },
    lifeline: new Fd(WORKER_FD.lifeline, "the supervisor's line"),
  };
}
