// The process that uncompresses an input: this program again, as `expand KIND`, between the input
// and a pipe. The walk can then block on the pipe while the other processor expands.

import { hex } from "../../base/index.ts";
import type { Finding } from "../../bytes/index.ts";
import { type Fd, makePipe } from "../../sys/index.ts";
import type { Compression } from "../detect.ts";

/** Exit statuses of `agent expand`, shared with its command. */
export const EXPAND_STATUS = { done: 0, damaged: 3 } as const;

export interface Expander {
  /** The expanded stream. */
  readonly output: Fd;
  /** Ends the process; what was wrong with the compressed data, if anything. */
  finish(): Promise<Finding | undefined>;
}

export interface SelfCommand {
  readonly executable: string;
  /** What stands before the command's name. */
  readonly words: readonly string[];
  readonly environment: Record<string, string>;
}

export interface ExpanderOptions {
  readonly compression: Compression;
  /** Bytes already read from the input, in hex. */
  readonly prefix: string;
  readonly selfCommand: SelfCommand;
}

/** Takes `input` over. */
export function startExpander(input: Fd, options: ExpanderOptions): Expander {
  const { compression, prefix, selfCommand } = options;
  const pipe = makePipe();
  const { executable, words, environment } = selfCommand;
  const already = prefix === "" ? [] : [`--prefix=${prefix}`];
  const child = Bun.spawn([executable, ...words, "expand", compression, ...already], {
    stdio: [input.number, pipe.writeEnd.number, "ignore"],
    env: environment,
  });
  input[Symbol.dispose]();
  pipe.writeEnd[Symbol.dispose]();
  pipe.readEnd.name = input.name; // For messages: the operator knows nothing of the pipe.
  const finding: Finding = {
    layer: "input",
    record: compression,
    recordNumber: 0,
    fileOffset: 0,
    severity: "error",
    strict: true,
    field: "data",
    expected: `whole ${compression} data`,
    found: "damaged or cut short",
  };
  return {
    output: pipe.readEnd,
    async finish() {
      // The reader may be satisfied before the end: then the child dies of the closed pipe, which
      // is fine.
      const status = await child.exited;
      if (status === EXPAND_STATUS.damaged) return finding;
      if (status === EXPAND_STATUS.done || child.signalCode === "SIGPIPE") return undefined;
      const found = `its process ended with status ${hex(status)}`;
      return { ...finding, found };
    },
  };
}
